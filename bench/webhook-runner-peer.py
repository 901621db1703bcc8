"""The straightforward loop: requests streams the lines, json reads them, batches of 500 are posted.

Prints its own CPU time and peak memory. Arguments: base URL, plain or mapped, chunk size of iter_lines (512 is its default).
"""
import json
import resource
import sys
import time

import requests


def mapped(record):
    record["userId"] = record.pop("user_id")
    record.pop("phone", None)
    if record.get("birthdate") is None:
        record["birthdate"] = "unknown"
    record["type"] = "track"
    record["audience"] = "gold members"
    return record


def main():
    url, mode, chunk_size = sys.argv[1], sys.argv[2], int(sys.argv[3])
    started = time.process_time()
    sent = 0
    batch = []
    with requests.Session() as session, session.get(url + "/data.ndjson", stream=True) as download:
        download.raise_for_status()
        for line in download.iter_lines(chunk_size=chunk_size):
            record = json.loads(line)
            batch.append(mapped(record) if mode == "mapped" else record)
            if len(batch) == 500:
                session.post(url + "/records", json=batch).raise_for_status()
                sent += len(batch)
                batch = []
        if batch:
            session.post(url + "/records", json=batch).raise_for_status()
            sent += len(batch)
    print(json.dumps({
        "records": sent,
        "cpuSeconds": time.process_time() - started,
        "peakRssMb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }))


main()
