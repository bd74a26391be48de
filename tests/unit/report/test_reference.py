"""Generated pages are those of the code, and the schema takes what the models take."""

from pathlib import Path

import jsonschema
import pytest
import yaml

from fullbore.config import environment_names
from fullbore.config.models import Environment, Strict
from fullbore.report.reference import pages, stack_file_schema

ROOT = Path(__file__).parents[3]
PAGES = pages()
SCHEMA = jsonschema.Draft202012Validator(stack_file_schema())


@pytest.mark.parametrize("path", sorted(PAGES))
def test_page_is_made_from_the_code(path: str) -> None:
    assert (ROOT / path).read_text(encoding="utf-8") == PAGES[path], "run: python -m fullbore.report.reference ."


def test_the_schema_is_one() -> None:
    SCHEMA.check_schema(SCHEMA.schema)


@pytest.mark.parametrize("name", environment_names(ROOT))
def test_the_schema_takes_the_repository_s_environments(name: str) -> None:
    document = yaml.safe_load((ROOT / "stacks" / f"Pulumi.{name}.yaml").read_text())
    SCHEMA.validate(document)


def test_the_schema_refuses_a_typo() -> None:
    with pytest.raises(jsonschema.ValidationError):
        SCHEMA.validate({"config": {"fullbore:env": {"name": "example", "gatway": {}}}})


def test_the_schema_takes_what_is_encrypted() -> None:
    sealed = {"secure": "v1:AAAA"}
    parts = {
        "replication": {"source": "smb", "server": "s", "password": sealed},
        "monitoring": {"webhook_url": sealed},
    }
    SCHEMA.validate({"config": {"fullbore:env": {"name": "example", **parts}}})


def models() -> list[type[Strict]]:
    return [Environment, *(model for model in Strict.__subclasses__() if model is not Environment)]


@pytest.mark.parametrize("model", models(), ids=lambda model: model.__name__)
def test_every_field_is_described(model: type[Strict]) -> None:
    bare = [name for name, field in model.model_fields.items() if not field.description]
    assert bare == []
