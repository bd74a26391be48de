"""The command line of a container. Pure: values in, arguments out."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

from fullbore_sandbox import podman as cli
from fullbore_sandbox.kubelet import images
from fullbore_sandbox.kubelet.containers import CLUSTER, CONTAINER, KIND, POD_UID, Network, Owner
from fullbore_sandbox.kubelet.spec import LOOPBACK, ConfigError, ContainerSpec
from fullbore_sandbox.state import State

LOG_BYTES = "10mb"


def container_name(sandbox: str, owner: Owner, container: str) -> str:
    return f"fullbore-{sandbox}-{owner.cluster}-{owner.namespace}-{owner.pod}-{container}"


def run_arguments(
    state: State,
    owner: Owner,
    spec: ContainerSpec,
    binds: list[tuple[Path, str, bool]],
    network: Network,
    reference: str,
    row: images.StandIn | None,
    env_file: Path,
) -> list[str]:
    """The arguments of `podman run` after the name. The image's own command is used where the pod gives none.

    Variables go through a private file: they may be secret, and anyone can read a process's arguments.
    """
    labels = {
        **dict([cli.label(state).split("=", 1)]),
        CLUSTER: owner.cluster,
        POD_UID: owner.uid,
        CONTAINER: spec.name,
        KIND: owner.kind,
    }
    options = [f"--label={key}={value}" for key, value in labels.items()]
    options += _network(state, owner, network)
    options += [f"--publish={LOOPBACK}:{p.host_port}:{p.container_port}/{p.protocol}" for p in spec.ports]
    options += [f"--volume={source}:{path}{':ro' if read_only else ''}" for source, path, read_only in binds]
    options.append(f"--env-file={env_file}")
    options += _security(spec, row)
    options += ["--log-opt", f"max-size={LOG_BYTES}"]
    working_dir = spec.working_dir or (row.folder if row else "")
    if working_dir:
        options.append(f"--workdir={working_dir}")
    if row and row.folder and row.folder not in {path for _, path, _ in binds}:
        options.append(f"--tmpfs={row.folder}:mode=1777")
    command = row.entrypoint(spec.command, spec.args) if row else (*spec.command, *spec.args)
    if spec.command or row:
        return [*options, f"--entrypoint={command[0]}", reference, *command[1:]]
    return [*options, reference, *command]


def env_lines(spec: ContainerSpec) -> str:
    """The container's variables as lines of an env file. Raises ConfigError for a value of several lines."""
    broken = [name for name, value in spec.env if "\n" in value]
    if broken:
        raise ConfigError(f"env {broken[0]}: a value of several lines; mount it as a file")
    return "".join(f"{name}={value}\n" for name, value in spec.env)


def _network(state: State, owner: Owner, network: Network) -> list[str]:
    if network.join:
        return [f"--network=container:{network.join}"]
    names = [f"--network-alias={alias}" for alias in network.aliases]
    address = [f"--ip={network.address}", f"--mac-address={hardware_address(network.address)}"]
    return [f"--network={state.network}", *address, *names, f"--hostname={owner.pod[:63]}"]


def hardware_address(address: str) -> str:
    """The Ethernet address that goes with a pod's address, as docker derives it.

    A container that is started again would have another one, and neighbours that remember the old one would not reach
    it for up to a minute.
    """
    return "02:42:" + ":".join(f"{byte:02x}" for byte in IPv4Address(address).packed)


def _security(spec: ContainerSpec, row: images.StandIn | None) -> list[str]:
    user = spec.user or (row.user if row else "")
    options = [f"--user={user}"] if user else []
    options += [f"--group-add={group}" for group in spec.groups]
    options += [f"--cap-add={c}" for c in spec.cap_add] + [f"--cap-drop={c}" for c in spec.cap_drop]
    if spec.no_new_privileges:
        options.append("--security-opt=no-new-privileges")
    if spec.read_only_root:
        # podman would mount writable /tmp and /run, which a pod has only where it declares them.
        options += ["--read-only", *(["--read-only-tmpfs=false"] if cli.is_podman() else [])]
    return options
