"""Validates events against Sentry's published event schema, as Bugsink ships it. Called by scripts/check-sentry-schema.ts."""

import glob
import json
import os
import sys

import fastjsonschema
import jsonschema

import bugsink

SCHEMA = os.path.join(os.path.dirname(bugsink.__file__), "..", "api", "event.schema.json")

with open(SCHEMA) as file:
    schema = json.load(file)
validate = fastjsonschema.compile(schema)
# The file must be a schema that refuses something, else all would be valid.
for wrong in ({"exception": {"values": [{"stacktrace": {"frames": [{"lineno": "x"}]}}]}}, {"level": 7}):
    try:
        validate(wrong)
        sys.exit(f"the schema takes {wrong}")
    except fastjsonschema.JsonSchemaException:
        pass

passed = failed = 0
for path in sorted(glob.glob(os.path.join(sys.argv[1], "*.json"))):
    with open(path) as file:
        event = json.load(file)
    try:
        validate(event)
        passed += 1
    except fastjsonschema.JsonSchemaException:
        failed += 1
        try:
            jsonschema.validate(event, schema)
        except jsonschema.ValidationError as error:
            best = jsonschema.exceptions.best_match([error])
            print(f"{best.json_path}: {best.message[:300]}")
print(f"{passed} passed, {failed} failed")
sys.exit(1 if failed or not passed else 0)
