#!/usr/bin/env bash
# Issues a virtual account for every row of a CSV, with 16 curls at once: curl.sh ORDERS RESULTS
# The API's address and credentials are in API_URL, IMP_KEY and IMP_SECRET. The columns of ORDERS are merchant_uid,
# amount, vbank_code, vbank_due, vbank_holder, name, buyer_name, buyer_tel, without quotation marks; those of RESULTS
# merchant_uid, status, vbank_num, error.
set -euo pipefail
orders=$1 results=$2
replies=$(mktemp -d)
trap 'rm -rf "$replies"' EXIT

token=$(curl -sS --fail --retry 3 --retry-all-errors "$API_URL/users/getToken" -K - <<END |
data-urlencode = "imp_key=$IMP_KEY"
data-urlencode = "imp_secret=$IMP_SECRET"
END
	sed -n 's/.*"access_token":"\([^"]*\)".*/\1/p')

# issue sends its arguments, one row each, with one curl, so that they share a connection. What comes back is kept, each
# reply followed by the order, curl's exit code and the HTTP status.
issue() {
	for row; do
		IFS=, read -r uid amount code due holder name buyer tel <<<"$row"
		printf 'url = "%s/vbanks"\nheader = "Authorization: Bearer %s"\n' "$API_URL" "$token"
		printf 'data-urlencode = "%s=%s"\n' merchant_uid "$uid" amount "$amount" vbank_code "$code" vbank_due "$due" \
			vbank_holder "$holder" name "$name" buyer_name "$buyer" buyer_tel "$tel"
		printf 'silent\nfail\nmax-time = 30\nretry = 3\nretry-all-errors\n'
		printf 'write-out = "\\t%s\\t%%{exitcode}\\t%%{http_code}\\n"\nnext\n' "$uid"
	done | sed '$d' | curl -K - >>"$replies/$$" || true
}
export -f issue
export API_URL token replies

share=$(($(wc -l <"$orders") / 16 + 1))
tail -n +2 "$orders" | tr -d '\r' | tr '\n' '\0' | xargs -0 -P 16 -n $share bash -c 'issue "$@"' issue

{
	echo merchant_uid,status,vbank_num,error
	cat "$replies"/* | sed -E '
		s/^.*"vbank_num":"([^"]*)".*\t([^\t]*)\t0\t200$/\2,issued,\1,/; t
		s/^.*"message":"([^",]*).*\t([^\t]*)\t0\t200$/\2,failed,,\1/; t
		s/^.*\t([^\t]*)\t([^\t]*)\t([^\t]*)$/\1,failed,,curl \2 HTTP \3/'
} >"$results"
awk -F, '$2 == "failed" { n++ } END { if (n) print n " rows failed"; exit n > 0 }' "$results" >&2
