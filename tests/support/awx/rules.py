# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What AWX refuses: credential types, credentials, surveys and schedules that it would not take.

Sources in AWX: main/fields.py (CredentialTypeInputField, CredentialTypeInjectorField), api/views (JobTemplateSurveySpec), and
api/serializers (validate_rrule).
"""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import jinja2
from awx_plugins.interfaces._temporary_private_inject_api import ENV_BLOCKLIST
from jinja2.sandbox import ImmutableSandboxedEnvironment

Json = dict[str, Any]

_NAME = r"[a-zA-Z_]+[a-zA-Z0-9_]*"
_FIELD_KEYS = {
    *("id", "label", "type", "format", "choices", "default", "help_text", "multiline", "secret", "ask_at_runtime"),
}
_STRING_KEYS = {"choices", "multiline", "format", "secret"}
_DEFAULT_TYPES: dict[str, type] = {"string": str, "boolean": bool}
_ANSWER_TYPES: dict[str, type] = {
    **dict.fromkeys(("text", "textarea", "password", "multiplechoice", "multiselect"), str),
    "integer": int,
    "float": float,
}


class Refused(Exception):
    """AWX answers 400 with this."""


def check_credential_type(new: Json) -> None:
    fields = new["inputs"].get("fields", [])
    ids = [field["id"] for field in fields]
    _refuse(set(new["inputs"]) - {"fields", "required"}, "inputs have other keys than fields and required")
    _refuse(len(set(ids)) != len(ids) or "tower" in ids, f"field ids are not unique, or 'tower': {ids}")
    _refuse(set(new["inputs"].get("required", [])) - set(ids), "required names no field")
    for field in fields:
        kind = field.get("type", "string")
        _refuse(set(field) - _FIELD_KEYS or not re.fullmatch(_NAME, field["id"]) or not field["label"], f"a field is malformed: {field}")
        _refuse("default" in field and not isinstance(field["default"], _DEFAULT_TYPES[kind]), f"a default is of another type: {field}")
        _refuse(kind != "string" and set(field) & _STRING_KEYS, f"a field that is no string has keys of one: {field}")
    _check_injectors(new["injectors"], ids)


def _check_injectors(injectors: Json, ids: list[str]) -> None:
    _refuse(set(injectors) - {"file", "env", "extra_vars"}, "injectors have other keys than file, env and extra_vars")
    labels = list(injectors.get("file", {}))
    _refuse(any(not re.fullmatch(rf"template(\.{_NAME})?", label) for label in labels), f"files are not called template: {labels}")
    _refuse("template" in labels and len(labels) > 1, "several files need names after 'template.'")
    names = {label.partition(".")[2]: "EXAMPLE_FILENAME" for label in labels}
    namespace: Json = {**dict.fromkeys(ids, "EXAMPLE"), "tower": {"filename": names.get("") or SimpleNamespace(**names)}}
    environment = ImmutableSandboxedEnvironment(undefined=jinja2.StrictUndefined)
    for variable, template in injectors.get("env", {}).items():
        forbidden = variable.startswith("ANSIBLE_") or variable in ENV_BLOCKLIST or not re.fullmatch(_NAME, variable)
        _refuse(forbidden or not template.isascii(), f"{variable} may not be set by a credential")
    for injector in injectors.values():
        for label, template in injector.items():
            try:
                environment.from_string(template).render(namespace)
            except jinja2.TemplateError as error:
                raise Refused(f"{label}: {error}") from error


def check_credential(inputs: Json, credential_type: Json) -> None:
    fields = {field["id"]: field for field in credential_type["inputs"]["fields"]}
    _refuse(set(inputs) - set(fields), f"inputs that the type has not: {set(inputs) - set(fields)}")
    for name, value in inputs.items():
        _refuse("choices" in fields[name] and value not in fields[name]["choices"], f"{name} is none of the choices")


def check_survey(survey: Json) -> None:
    _refuse(not isinstance(survey.get("name"), str) or not isinstance(survey.get("description"), str), "name or description is missing")
    _refuse(not survey.get("spec"), "'spec' doesn't contain any items")
    variables = [question.get("variable") for question in survey["spec"]]
    _refuse(len(set(variables)) != len(variables), f"variables are asked for twice: {variables}")
    for question in survey["spec"]:
        for key, kind in {"type": str, "question_name": str, "variable": str, "required": bool}.items():
            _refuse(not isinstance(question.get(key), kind), f"{key} is missing or malformed: {question}")
        kind = question["type"]
        default = question.get("default", "")
        _refuse(kind not in _ANSWER_TYPES, f"there is no type {kind}")
        _refuse(default != "" and not isinstance(default, _ANSWER_TYPES[kind]), f"the default is of another type: {question}")
        _refuse(
            kind in ("multiplechoice", "multiselect")
            and any(choice not in question.get("choices", ()) for choice in str(default).splitlines()),
            f"the default is none of the choices: {question}",
        )


def check_rrule(rule: str) -> None:
    _refuse(len(re.findall(r"DTSTART(?:;[^:]+)?:[0-9]+T[0-9]+Z?", rule)) != 1, "one DTSTART is required")
    _refuse(re.search(r"DTSTART:[0-9]+T[0-9]+ ", rule), "DTSTART cannot be naive")
    rules = re.findall(r"RRULE:(\S*)", rule)
    _refuse(not rules, "one or more rules are required")
    for each in rules:
        _refuse("INTERVAL=" not in each, "INTERVAL is required")
        _refuse("SECONDLY" in each or re.search("BYDAY=[0-9]", each), f"not supported: {each}")


def _refuse(wrong: object, why: str) -> None:
    if wrong:
        raise Refused(why)
