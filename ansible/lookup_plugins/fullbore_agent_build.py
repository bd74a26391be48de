"""Builds the agent on the controller, once for each state of its source."""

from __future__ import annotations

DOCUMENTATION = r"""
name: fullbore_agent_build
short_description: The agent as one file, built where it is not yet
version_added: "0.1.0"
description:
  - Returns C(path) of the built file on the controller and its C(sha256). Builds from C(images/agent), without network.
author:
  - Fullbore (@fullbore)
options: {}
"""

import hashlib
import importlib.util
import os
from pathlib import Path

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase

BUILD = Path(__file__).resolve().parents[2] / "images" / "agent" / "build.py"


class LookupModule(LookupBase):
    """One result, {path, sha256}; terms are ignored."""

    def run(self, terms, variables=None, **kwargs):  # pyright: ignore[reportIncompatibleMethodOverride]
        spec = importlib.util.spec_from_file_location("fullbore_agent_build_script", BUILD)
        if spec is None or spec.loader is None:
            raise AnsibleError(f"{BUILD}: not there; run from a whole checkout")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        try:
            path = module.build(cache())
        except module.BuildError as error:
            raise AnsibleError(str(error)) from error
        return [{"path": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}]


def cache() -> Path:
    """The user's cache directory, as the XDG base directory specification says."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fullbore" / "agent"
