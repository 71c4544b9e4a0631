#!/usr/bin/env python3
"""Issues a virtual account for every row of a CSV, with 16 threads: threads.py ORDERS RESULTS

The API's address and credentials are in API_URL, IMP_KEY and IMP_SECRET. The columns of ORDERS are the API's own; those
of RESULTS are merchant_uid, status, vbank_num, error.
"""
import csv
import http.client
import json
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

ATTEMPTS = 3
api = urlsplit(os.environ["API_URL"])
local = threading.local()


def connection():
    """The thread's own connection, which is kept alive; after close() it connects anew by itself."""
    if not hasattr(local, "connection"):
        kind = http.client.HTTPSConnection if api.scheme == "https" else http.client.HTTPConnection
        local.connection = kind(api.netloc, timeout=30)
    return local.connection


def post(path, body, headers={}):
    """Sends a request and returns the response in the reply. Tries again after exceptions, 5xx and 429."""
    data = json.dumps(body)
    for attempt in range(ATTEMPTS):
        wait = 0.5 * 2**attempt
        try:
            connection().request("POST", path, data, {"Content-Type": "application/json", **headers})
            reply = connection().getresponse()
            text = reply.read()
            if reply.status != 429 and reply.status < 500:
                answer = json.loads(text)
                break
            wait = float(reply.getheader("Retry-After") or wait)
            problem = f"HTTP {reply.status}"
        except (OSError, http.client.HTTPException, ValueError) as e:
            connection().close()
            problem = str(e) or type(e).__name__
        if attempt < ATTEMPTS - 1:
            time.sleep(wait)
    else:
        raise OSError(problem)
    if answer["code"] != 0:
        raise OSError(answer["message"])
    return answer["response"]


def main(orders, results):
    key = {"imp_key": os.environ["IMP_KEY"], "imp_secret": os.environ["IMP_SECRET"]}
    headers = {"Authorization": "Bearer " + post("/users/getToken", key)["access_token"]}

    def issue(row):
        row["amount"], row["vbank_due"] = int(row["amount"]), int(row["vbank_due"])
        try:
            return row["merchant_uid"], "issued", post("/vbanks", row, headers)["vbank_num"], ""
        except OSError as e:
            return row["merchant_uid"], "failed", "", str(e)

    failed = 0
    with open(orders, newline="", encoding="utf-8-sig") as source, open(results, "w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(["merchant_uid", "status", "vbank_num", "error"])
        with ThreadPoolExecutor(16) as pool:
            for result in pool.map(issue, csv.DictReader(source)):
                writer.writerow(result)
                failed += result[1] == "failed"
    if failed:
        sys.exit(f"{failed} rows failed")


main(*sys.argv[1:])
