"""The provider: the table of rows behind the protocol."""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Generator, Mapping
from typing import Any

from fullbore.provider.base import (
    UNKNOWN,
    Check,
    Created,
    Diff,
    Failure,
    Map,
    PartialFailure,
    Provider,
    ProviderError,
    Read,
    Request,
)
from fullbore.provider.values import differences, from_json_strings, keep_secrets, plain
from fullbore_sandbox.plugins.aws import journal, strict
from fullbore_sandbox.plugins.aws.api import PLAN_ONLY, Api, Settings, gone, is_loopback, plan_only
from fullbore_sandbox.plugins.aws.compare import (
    aligned,
    filled_by_aws,
    inputs_now,
    merged_tags,
    previewed,
    replaces,
    root,
    same_to_aws,
    shown,
    with_tags_all,
)
from fullbore_sandbox.plugins.aws.row import Row
from fullbore_sandbox.plugins.aws.rows import ROWS
from fullbore_sandbox.plugins.aws.schema import ResourceSchema, resource_schema, sdk_version

PROVIDER_TYPE = "pulumi:providers:aws"
ENGINE_CONFIG = ("version", "pluginDownloadURL", "__internal")
"""What the engine keeps beside a provider's own configuration."""
NO_ACCOUNT = "000000000000"
"""The account of a preview that contacts nothing. The engine takes no unknown value from a function's result."""
NAME_BYTES = 4
"""Random bytes in a generated name."""


class AwsProvider(Provider):
    """A stand-in for the official AWS plugin, in front of an emulator on loopback. Everything it makes is simulated."""

    name = "aws"

    def __init__(self) -> None:
        super().__init__()
        self.version = sdk_version()
        self.settings: Settings | None = None
        self.api: Api | None = None
        self._said = threading.Lock()

    # Configuration

    def check_config(self, olds: Map, news: Map) -> Check:
        fields = resource_schema(PROVIDER_TYPE)
        if fields is None:
            raise ProviderError("pulumi_aws: the installed SDK has no class Provider")
        config = {k: v for k, v in from_json_strings(news).items() if k not in ENGINE_CONFIG}
        failures = strict.check_fields(config, fields.inputs)
        return Check(news, failures or _check_endpoints(plain(config)))

    def diff_config(self, olds: Map, news: Map) -> Diff:
        """A new region is another place: everything in it would be other objects, so the provider is replaced."""
        changes = differences(from_json_strings(olds), from_json_strings(news))
        return Diff({p: f"{kind}-replace" if p == "region" else kind for p, kind in changes.items()})

    def configure(self, config: Map) -> None:
        values = plain(from_json_strings(config))
        endpoints = _endpoints(values)
        if not endpoints and not plan_only():
            raise ProviderError(
                f"endpoints: none, but this stand-in talks to an emulator only; set endpoints on 127.0.0.1, "
                f"{PLAN_ONLY}=1 for a preview, or use the official plugin for AWS itself"
            )
        if not values.get("region"):
            raise ProviderError("region: missing; set it on the provider, e.g. eu-central-1")
        self.settings = Settings(
            region=values["region"],
            endpoints=endpoints,
            access_key=str(values.get("accessKey", "test")),
            secret_key=str(values.get("secretKey", "test")),
            default_tags=(values.get("defaultTags") or {}).get("tags") or {},
        )
        self.api = Api(self.settings)

    # Planning

    def check(self, r: Request) -> Check:
        self._say_simulated(r)
        row, schema = self._row(r.type), self._schema(r.type)
        news = {k: v for k, v in r.news.items() if v is not None}
        failures = strict.check_fields(news, schema.inputs)
        known = {root(f.path) for f in failures}
        failures += [_not_covered(k) for k in news if k not in row.inputs and k not in known and not plan_only()]
        return Check(self._completed(row, schema, r, news), failures)

    def _completed(self, row: Row, schema: ResourceSchema, r: Request, news: Map) -> Map:
        """Inputs with the provider's default tags, as the official provider merges them, and a generated name."""
        if "tags" in schema.inputs and self.settings and self.settings.default_tags:
            news["tags"] = merged_tags(self.settings.default_tags, news.get("tags"))
        if row.name and row.name not in news:
            prefix = row.name_case(f"{r.name}-")
            old = plain(r.olds.get(row.name))
            kept = isinstance(old, str) and old.startswith(prefix)
            news[row.name] = old if kept else prefix + secrets.token_hex(NAME_BYTES)
        return news

    def diff(self, r: Request) -> Diff:
        row = self._row(r.type)
        olds, news = plain(r.old_inputs), plain(r.news)
        changes = differences(olds, aligned(olds, news))
        changes = {path: kind for path, kind in changes.items() if not same_to_aws(row, path, kind, olds, news)}
        kinds = {path: f"{kind}-replace" if replaces(row, path) else kind for path, kind in changes.items()}
        replaced = any(kind.endswith("-replace") for kind in kinds.values())
        same_name = bool(row.unique) and all(olds.get(k) == news.get(k) for k in row.unique)
        return Diff(kinds, delete_before_replace=replaced and same_name, input_diff=True)

    # Doing

    def create(self, r: Request) -> Created:
        row, schema = self._row(r.type), self._schema(r.type)
        if r.preview:
            return Created("", previewed(row, schema, r.news))
        api = self._usable(row)
        inputs = plain(r.news)
        token = row.token(inputs) if row.token else secrets.token_hex(16)
        ident = self._journalled(r, row, api, inputs, token)
        try:
            with _api_errors(r):
                if row.finish:
                    row.finish(api, ident, inputs)
                live = row.read(api, ident, inputs)
        except ProviderError as error:
            raise PartialFailure(ident, r.news, r.news, [str(error)]) from error
        if live is None:
            raise PartialFailure(ident, r.news, r.news, [f"{r.name}: made as {ident}, but it cannot be read back"])
        return Created(ident, self._outputs(row, schema, live, r.news))

    def _journalled(self, r: Request, row: Row, api: Api, inputs: Map, token: str) -> str:
        """Makes the object between two lines of the journal; a refusal by the API closes the first as `failed`."""
        entry: Map = {"urn": r.urn, "type": r.type, "token": token, "id": "", "region": api.region}
        entry["endpoints"] = dict(self.settings.endpoints) if self.settings else {}
        journal.write({**entry, "phase": "begin"})
        try:
            with _api_errors(r):
                ident = row.create(api, inputs, token)
        except ProviderError:
            journal.write({**entry, "phase": "failed"})
            raise
        journal.write({**entry, "phase": "created", "id": ident})
        return ident

    def read(self, r: Request) -> Read | None:
        self._say_simulated(r)
        row, schema = self._row(r.type), self._schema(r.type)
        api = self._usable(row)
        old = r.inputs or {}
        live = self._live(r, row, api, plain(r.olds) | plain(old))
        if live is None:
            return None
        inputs = keep_secrets(inputs_now(row, schema, plain(old), live), old)
        return Read(r.id, inputs, self._outputs(row, schema, live, inputs))

    def _live(self, r: Request, row: Row, api: Api, known: Map) -> Map | None:
        with _api_errors(r):
            try:
                return row.read(api, r.id, known)
            except Exception as error:
                if gone(error):
                    return None
                raise

    def update(self, r: Request) -> Map:
        row, schema = self._row(r.type), self._schema(r.type)
        if r.preview:
            moved = dict.fromkeys(row.moving, UNKNOWN)
            return with_tags_all(schema, {**r.olds, **r.news, **filled_by_aws(row, r.news, r.olds), **moved})
        api = self._usable(row)
        olds, news = plain(r.old_inputs), plain(r.news)
        changed = {root(path) for path in differences(olds, aligned(olds, news))}
        with _api_errors(r):
            self._update_tags(row, api, r, olds, news)
            if row.update and changed - {"tags"}:
                row.update(api, r.id, news, changed)
            live = row.read(api, r.id, news)
        if live is None:
            raise ProviderError(f"{r.name}: {r.id} is gone; run the update with --refresh")
        return self._outputs(row, schema, live, r.news)

    def _update_tags(self, row: Row, api: Api, r: Request, olds: Map, news: Map) -> None:
        before, after = olds.get("tags") or {}, news.get("tags") or {}
        if row.tagging is None or before == after:
            return
        key = row.tagging.key(r.id, plain(r.olds))
        if removed := [k for k in before if k not in after]:
            row.tagging.unset(api, key, removed)
        if changed := {k: v for k, v in after.items() if before.get(k) != v}:
            row.tagging.set(api, key, changed)

    def delete(self, r: Request) -> None:
        self._say_simulated(r)
        row = self._row(r.type)
        api = self._usable(row)
        with _api_errors(r):
            try:
                row.delete(api, r.id, plain(r.olds) | plain(r.old_inputs))
            except Exception as error:
                if not gone(error):
                    raise

    def invoke(self, token: str, args: Map) -> Map:
        if token != "aws:index/getCallerIdentity:getCallerIdentity":
            raise ProviderError(f"{token}: this stand-in has no such function; it has getCallerIdentity")
        if plan_only():
            return {
                "accountId": NO_ACCOUNT,
                "arn": f"arn:aws:iam::{NO_ACCOUNT}:root",
                "id": NO_ACCOUNT,
                "userId": "none",
            }
        if self.api is None:
            raise ProviderError(f"{token}: the provider is not configured")
        caller = self.api.client("sts").get_caller_identity()
        account = caller["Account"]
        return {"accountId": account, "arn": caller["Arn"], "id": account, "userId": caller["UserId"]}

    # Shared

    def _row(self, token: str) -> Row:
        row = ROWS.get(token)
        if row is None:
            known = resource_schema(token) is not None
            why = "is not covered by this stand-in" if known else f"is no type of pulumi_aws {self.version}"
            raise ProviderError(f"{token}: {why}; covered are {', '.join(sorted(ROWS))}")
        return row

    def _schema(self, token: str) -> ResourceSchema:
        schema = resource_schema(token)
        if schema is None:
            raise ProviderError(f"{token}: no type of pulumi_aws {self.version}")
        return schema

    def _usable(self, row: Row) -> Api:
        """The API, where this type may be touched at all."""
        if plan_only():
            raise ProviderError(f"{row.type}: {PLAN_ONLY}=1 allows previews only; unset it for updates and refreshes")
        if self.api is None:
            raise ProviderError(f"{row.type}: the provider is not configured")
        return self.api

    def _outputs(self, row: Row, schema: ResourceSchema, live: Map, inputs: Map) -> Map:
        """Live values, and what cannot be read as it was given. A row that invents an output is a fault."""
        given = {k: v for k, v in inputs.items() if k in row.unreadable}
        outputs = with_tags_all(schema, {**given, **shown(live)})
        if "region" in schema.outputs and self.api:
            outputs.setdefault("region", self.api.region)
        invented = sorted(outputs.keys() - schema.outputs.keys())
        if invented:
            raise ProviderError(f"{row.type}: the row returns {', '.join(invented)}, which pulumi_aws does not have")
        return keep_secrets(outputs, inputs)

    def _say_simulated(self, r: Request) -> None:
        """Once in a process, beside the stack. Each way of using the provider begins with check, read or delete."""
        if self._said.acquire(blocking=False):
            what = "previews only, nothing is contacted" if plan_only() else "an emulator on this machine"
            line = f"SIMULATED: AWS is a stand-in ({what}); nothing here exists at AWS"
            r.write_log("", "info", line, False)


def _check_endpoints(config: Map) -> list[Failure]:
    return [
        Failure(f"endpoints.{service}", f"got {url}, but this stand-in talks to loopback only; use 127.0.0.1")
        for service, url in _endpoints(config).items()
        if isinstance(url, str) and not is_loopback(url)
    ]


def _endpoints(config: Mapping[str, Any]) -> dict[str, str]:
    listed = config.get("endpoints") or []
    if not isinstance(listed, list):
        return {}
    return {service: url for entry in listed for service, url in entry.items() if url}


def _not_covered(name: str) -> Failure:
    why = "known to pulumi_aws, but this stand-in does not carry it out; leave it out or use the official plugin"
    return Failure(name, why)


@contextlib.contextmanager
def _api_errors(r: Request) -> Generator[None]:
    """Errors of the API as one line that names the resource."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        said = error.response.get("Error", {})
        why = f"{said.get('Code', '?')}: {said.get('Message', '')}"
        raise ProviderError(f"{r.name}: {error.operation_name} was refused: {why}") from error
    except BotoCoreError as error:
        lines = "; ".join(str(error).splitlines())
        raise ProviderError(f"{r.name}: {lines}; is the emulator running?") from error
