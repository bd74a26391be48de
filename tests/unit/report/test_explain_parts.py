"""What `fullbore explain` tells of the parts of machines, of the ways to the cloud and of what is copied there."""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from fullbore.config import KEY, parse
from fullbore.config.yaml_text import read_mapping
from fullbore.plan import make_plan
from fullbore.report.explain import explain
from fullbore.report.section import Section

STACKS = Path(__file__).parents[3] / "stacks"
Facts = Mapping[str, tuple[Any, Any]]
Document = dict[str, Any]


def stack(name: str) -> Document:
    document = read_mapping(STACKS / f"Pulumi.{name}.yaml")["config"]
    assert isinstance(document, dict)
    return deepcopy(document[KEY])


@pytest.fixture
def prod() -> Document:
    return stack("prod")


def sections(document: Document) -> dict[str, Section]:
    env = parse(document, STACKS)
    return {section.title: section for section in explain(env, make_plan(env))}


def facts(document: Document, title: str) -> Facts:
    """{what: (value, note)} of a table."""
    return {str(row["what"]): (row["value"], row["note"]) for row in sections(document)[title].rows}


def test_the_layout_that_is_given_stands_beside_the_best_ones(prod: Document) -> None:
    rows = sections(prod)["layouts"].rows
    assert [row["choice"] for row in rows] == [
        "as given",
        *(f"{aim} {n}" for aim in ("cost", "latency") for n in (1, 2, 3)),
    ]
    assert (rows[0]["layout"], rows[0]["KV tokens"], rows[0]["ms a token"]) == ("TP 8", 643_520, 14.9)
    assert "TP 8" not in [row["layout"] for row in rows[1:]]
    del prod["serving"]["tensor_parallel"]
    rows = sections(prod)["layouts"].rows
    assert (rows[0]["choice"], rows[0]["layout"]) == ("as chosen", rows[1]["layout"])


def test_a_given_layout_that_does_not_fit_has_no_speed(prod: Document) -> None:
    prod["serving"]["tensor_parallel"] = 2
    told = sections(prod)
    assert [row["fits"] for row in told["fit of one GPU"].rows] == ["no", "no"]
    assert "as given" not in [row["choice"] for row in told["layouts"].rows]


def test_what_a_gpu_holds_has_units(prod: Document) -> None:
    (row, _) = sections(prod)["fit of one GPU"].rows
    numbers = {name for name, value in row.items() if not isinstance(value, str)}
    assert {name for name in numbers if not name.endswith(("(GiB)", "(KiB)"))} == {
        "KV tokens of a replica",
        "KV tokens wanted",
        "full sequences",
    }


def test_each_family_is_told_where_it_is_declared_and_not_where_it_is_not(prod: Document) -> None:
    families = {
        "fabric: subnet manager and IP over InfiniBand",
        "fabric: partitions",
        "machines: GPU driver",
        "machines: containers",
        "machines: registries",
        "machines: nodes of the cluster",
        "machines: NVMe drives",
        "serving: pods",
        "gateway and metrics",
        "cloud network and access",
        "ways between site and cloud",
        "cloud storage",
        "replication of the weights",
    }
    assert families <= set(sections(prod))
    cloud = {"cloud network and access", "cloud storage", "replication of the weights"}
    assert families & set(sections(stack("dev"))) == cloud
    bare = {name: prod[name] for name in ("name", "site", "versions")}
    for name in ("infiniband", "gpu_driver", "container_runtime", "kubernetes"):
        del bare["site"][name]
    del bare["site"]["groups"]["storage"]["nvme"]
    assert not families & set(sections(bare))


def test_the_operating_system_is_not_the_clouds(prod: Document) -> None:
    told = "the cloud's nodes run Amazon Linux 2023"
    assert told in sections(prod)["versions"].note
    assert told not in sections({name: prod[name] for name in ("name", "site", "versions")})["versions"].note


def test_subnet_managers_in_the_order_that_they_take_over(prod: Document) -> None:
    prod["site"]["infiniband"]["subnet_manager"]["hosts"] = ["nvme-02", "nvme-01"]
    told = facts(prod, "fabric: subnet manager and IP over InfiniBand")
    assert told["subnet manager 1"] == ("nvme-02", "the master; priority 14, on port 0x946dae0300a01003")
    assert told["subnet manager 2"][1].startswith("takes over from nvme-02; priority 13")
    assert told["routing engine"] == ("ftree", "given")
    assert told["IP MTU (bytes)"] == (4092, "at most 4,092 in this mode")


def test_a_subnet_that_is_managed_elsewhere(prod: Document) -> None:
    prod["site"]["infiniband"] = {}
    told = facts(prod, "fabric: subnet manager and IP over InfiniBand")
    assert told["subnet manager"][0] == "none of the hosts"
    assert told["IP over InfiniBand"][0] == "as it is"
    assert "fabric: partitions" not in sections(prod)


def test_partitions_with_the_ports_that_are_in_them(prod: Document) -> None:
    manager = prod["site"]["infiniband"]["subnet_manager"]
    manager["default_members"] = "limited"
    manager["partitions"]["backup"] = {"pkey": 2, "members": {"storage": "limited", "nvme-01": "full"}, "ipoib": True}
    default, backup = sections(prod)["fabric: partitions"].rows
    assert default["full members"] == "switches, the subnet manager's"
    assert default["limited members"] == "every port"
    assert backup["key"] == "0x0002"
    assert backup["full members"] == "2 ports of nvme-01"
    assert backup["limited members"] == "2 ports of storage"
    assert backup["MTU of its multicast (bytes)"] == 4096


def test_why_options_of_the_driver_are_set_and_fabric_manager_runs(prod: Document) -> None:
    told = facts(prod, "machines: GPU driver")
    assert told["driver"] == ("open 580.95.05", "of the lock; apt may not change its 3 packages")
    assert told["Fabric Manager"] == ("runs", "NVSwitches join the 8 GPUs")
    assert told["NVreg_EnableStreamMemOPs"] == ("1", "NVSHMEM needs it for IBGDA")
    assert told["NVreg_RestrictProfilingToAdminUsers"] == ("0", "of site.gpu_driver.module_options")
    prod["site"]["gpu_driver"]["fabric_manager"] = False
    assert facts(prod, "machines: GPU driver")["Fabric Manager"] == (
        "does not run",
        "site.gpu_driver.fabric_manager says so",
    )


def test_machines_that_are_divided_unlike_others_have_rows_of_their_own(prod: Document) -> None:
    prod["site"]["groups"]["gpu-r02"]["mig"] = ["3g.71gb", "4g.71gb"]
    rows = sections(prod)["machines: GPU driver"].rows
    divided = {row["machines"]: row["value"] for row in rows if row["what"] == "MIG instances of each GPU"}
    assert divided == {"gpu-r01": "off", "gpu-r02": "4g.71gb, 3g.71gb"}
    assert {row["machines"] for row in rows if row["what"] == "driver"} == {"gpu-r01 and 1 more"}
    devices = sections(prod)["machines: containers"].rows
    assert [row["value"] for row in devices if row["what"] == "devices that CDI names"] == [8, 16]


def test_registries_and_their_mirrors(prod: Document) -> None:
    access = prod["site"]["container_runtime"]["registries"]["registry.k8s.io"]
    access["ca_file"] = "/etc/ssl/prod.pem"
    mirrored, own = sections(prod)["machines: registries"].rows
    assert list(mirrored.values()) == ["registry.k8s.io", "https://registry.prod.example/v2/k8s", "/etc/ssl/prod.pem"]
    assert list(own.values()) == ["registry.prod.example", "itself", "the system's"]


def test_how_machines_become_nodes(prod: Document) -> None:
    prod["site"]["kubernetes"]["labels"] = {"example.com/hall": "1"}
    told = facts(prod, "machines: nodes of the cluster")
    assert told["joins by"] == ("/etc/fullbore/join/prod.yaml", "kubeadm's v1beta4")
    assert told["taint nvidia.com/gpu"][0] == "present:NoSchedule"
    assert told["label example.com/hall"] == ("1", "of site.kubernetes.labels")
    assert told["label fullbore.io/rack"] == ("r01 and 1 more", "planned")
    assert told["reserved of each NUMA node (MiB)"][0] == 4096
    assert told["reserved for the system (MiB)"][0] == 2 * 4096 - 100
    prod["site"]["kubernetes"] = {}
    told = facts(prod, "machines: nodes of the cluster")
    assert told["joins by"][0] == "nothing: is a node already"
    assert told["memory manager"][0] == "off"


def test_nvme_drives_with_what_is_set_of_them(prod: Document) -> None:
    del prod["site"]["groups"]["storage"]["nvme"]["io_policy"]
    (row,) = sections(prod)["machines: NVMe drives"].rows
    assert row == {"machines": "storage", "read-ahead (KiB)": 4096, "policy of paths": "as it is"}


@pytest.mark.parametrize(("back", "words"), [(True, "put back to what it held before"), (False, "left as it is")])
def test_what_becomes_of_a_machine_on_which_a_change_fails(prod: Document, *, back: bool, words: str) -> None:
    prod["site"]["rolling"]["roll_back"] = back
    assert f"a machine on which a change fails: {words}" in sections(prod)["site"].note


def test_kernel_settings_of_the_sites_own(prod: Document) -> None:
    prod["site"]["sysctl"] = {"vm.swappiness": 1, "vm.max_map_count": "262144"}
    told = sections(prod)["site"].note
    assert "kernel settings of the site's own: vm.max_map_count = 262144, vm.swappiness = 1\n" in told


def test_the_line_goes_before_the_vpn(prod: Document) -> None:
    line, vpn = sections(prod)["ways between site and cloud"].rows
    assert (line["way"], line["used"], line["largest packet (bytes)"]) == ("Direct Connect", "first", 1500)
    assert (vpn["way"], vpn["used"], vpn["ASN of the cloud"]) == ("VPN", "where the line fails", "64512")
    del prod["cloud"]["vpn"]["direct_connect"]
    (vpn,) = sections(prod)["ways between site and cloud"].rows
    assert vpn["used"] == "always"


def test_what_keeps_weights_and_backups_in_the_cloud(prod: Document) -> None:
    told = facts(prod, "cloud storage")
    assert told["a backup is locked (days)"][0] == 35
    assert told["it is read at (MB/s)"] == (2344, "1,000 MB/s for each TiB of its size")
    assert told["files move to cheaper storage after (days)"] == (30, "after somebody read them last")
    prod["storage"] = {"bucket": "fullbore-prod-weights"}
    told = facts(prod, "cloud storage")
    assert told["logs/ is kept (days)"][0] == "for good"
    assert told["encryption"][0] == "the account's key"
    assert not {"EFS", "FSx for Lustre (GiB)", "bucket of backups"} & set(told)


@pytest.mark.parametrize(
    ("destination", "value"), [("bucket", "fullbore-prod-weights"), ("lustre", "FSx for Lustre"), ("shared", "EFS")]
)
def test_where_datasync_copies_to(prod: Document, destination: str, value: str) -> None:
    prod["replication"]["destination"] = destination
    assert facts(prod, "replication of the weights")["to"][0] == value


def test_how_datasync_copies(prod: Document) -> None:
    told = facts(prod, "replication of the weights")
    assert told["from"][0] == "198.51.100.51 /export/weights"
    assert told["may take of the link from 07:00 on (MiB/s)"][0] == 600
    assert told["may take of the link from 19:00 on (MiB/s)"][0] == "all"
    assert told["leaves out"][0] == "*.tmp, *.partial"
    assert told["agents"] == (1, "reach DataSync by an endpoint of the VPC")
    assert told["way back"] == ("a task", "that somebody starts")
    assert told["alarm after no good run for (h)"][0] == 2


def test_where_s3_copies_from() -> None:
    told = facts(stack("dev"), "replication of the weights")
    assert told["from"] == ("fullbore-weights-home", "in eu-west-1; weights/")
    assert told["a new object is there within (s)"][0] == 900
    assert told["alarm when behind by (s)"] == (900, "tells arn:aws:sns:eu-west-1:111122223333:fullbore-dev")


def test_who_reaches_the_cloud(prod: Document) -> None:
    told = facts(prod, "cloud network and access")
    assert told["the cluster's API is reached from"][0] == "203.0.113.0/24"
    assert told["private endpoints"][0] == "8 services and S3"
    assert told["flow logs are kept (days)"][0] == 90
    assert told["key of Kubernetes secrets"][0] == "own key"
    assert told["roles of pods"] == ("EKS Pod Identity", "kube-system/aws-node, fullbore/standby")
    prod["cloud"]["api_from"] = []
    assert facts(prod, "cloud network and access")["the cluster's API is reached from"][0] == "no address"


def test_what_pods_are_given(prod: Document) -> None:
    told = facts(prod, "serving: pods")
    assert told["image"] == ("registry.prod.example/fullbore/runtime", "digest b01dfaceb01d")
    assert told["engine"][0] == "vllm"
    assert told["manifest of the weights"][0] == "deadbea7dead"
    assert told["memory of a pod (GiB)"][0] == 1024
    assert told["weights of the standby"] == ("FSx for Lustre", "mounted, folder weights/")
    prod["serving"]["context_policy"] = "truncate"
    assert facts(prod, "serving: pods")["long prompts"][0] == "truncate"


def test_where_clients_speak_to_and_alerts_go(prod: Document) -> None:
    told = facts(prod, "gateway and metrics")
    assert told["clients speak to"][0] == "http://serving.prod.example:8080"
    assert told["alerts go to"][0] == "alerts.prod.example"
    assert told["lag of replication is measured by"] == ("a pod beside Prometheus", "alert above 7,200 s")
    del prod["monitoring"]["lag"]
    assert facts(prod, "gateway and metrics")["lag of replication is measured by"] == ("nobody", "")


def test_no_secret_is_told(prod: Document) -> None:
    secret = "sealed"
    prod["cloud"]["vpn"]["direct_connect"]["bgp_key"] = secret
    prod["replication"] |= {"source": "smb", "user": "copier", "password": secret}
    prod["replication"]["agents"] = {"a1": {"activation_key": secret}}
    prod["monitoring"]["webhook_url"] = f"https://alerts.example/{secret}"
    told = sections(prod)
    assert "sealed" not in str(told)
    assert told["ways between site and cloud"].rows[0]["BGP key"] == "given"
    agents = {row["what"]: row["note"] for row in told["replication of the weights"].rows}["agents"]
    assert agents == "reach DataSync by an endpoint of the VPC, 1 of them activated by this stack"
