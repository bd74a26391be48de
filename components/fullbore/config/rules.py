"""Every rule that reading an environment's file can break, by its id; those of the plan are in `plan.checks`."""

from __future__ import annotations

CONFIG_RULES = {
    "config-address": "an address or a network is none, or is not written as text",
    "config-choice": "a word is not one of those that are allowed",
    "config-duplicate-key": "a key is written twice in one mapping",
    "config-file": "a file that a field names cannot be read, or is not what it should be",
    "config-length": "a text or a list is too short or too long",
    "config-missing-field": "a field that is needed is not given",
    "config-number": "a number is none, is not whole, or has a unit or quotes",
    "config-pattern": "a text has not the form that its field asks for",
    "config-range": "a number is too small or too large",
    "config-secret": "a field that is kept in clear is encrypted",
    "config-type": "a value is of the wrong kind: text, a list, a mapping, a day, true or false",
    "config-unknown-field": "a field has a name that is not known there",
    "config-value": "a value is refused for a reason that has no rule of its own",
    "config-yaml": "the file cannot be read, or is not YAML of the plain kind",
    "environment-missing": "there is no environment of this name, or no such file",
    "environment-name": "the environment's name is not that of its stack file",
    "passphrase-wrong": "the passphrase at hand does not open the file's secrets",
    "sandbox-endpoints": "the file in which a running sandbox says where its parts are cannot be used",
    "secret-form": "an encrypted value has not the form that the engine writes",
    "secret-in-clear": "a secret is written in clear",
    "secret-unopened": "a value is encrypted with another key than the file's others",
    "secret-without-salt": "a value is encrypted, but what its key is made from is gone",
}
"""All of them are errors: the environment is not planned then."""
