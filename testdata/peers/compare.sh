#!/usr/bin/env bash
# Runs vbankbatch, and what people write in its place, against the same sandbox with the same file of orders, and prints
# a table: testdata/peers/compare.sh [ROWS]
# Needs bash 5, awk, curl, timeout and Go; a peer without its tool is left out. Ends with 1 if vbankbatch made an order a
# second account, or does not tell the one account of each, and if a peer does not do its work even without faults.
set -euo pipefail
cd "$(dirname "$0")/../.."
rows=${1:-2000}
[[ $rows =~ ^[1-9][0-9]{0,4}$ ]] || { echo "usage: testdata/peers/compare.sh [ROWS], at most 99999" >&2; exit 2; }
[[ -n ${EPOCHREALTIME-} ]] || { echo "compare.sh needs bash 5, for its clock" >&2; exit 2; }

tmp=$(mktemp -d)
sandbox= peer=
end() {
	kill $peer $sandbox 2>/dev/null || true # timeout passes it on to all that a peer has started
	wait
	rm -rf "$tmp"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

unset "${!VBANKBATCH_@}" IMP_KEY_FILE IMP_SECRET_FILE IMP_PG_API_KEY IMP_PG_API_KEY_FILE
export TMPDIR=$tmp API_URL IMP_KEY=any IMP_SECRET=any LC_ALL=C.UTF-8 NO_PROXY=127.0.0.1 no_proxy=127.0.0.1
orders=$tmp/orders results=$tmp/results.csv half=$(((rows + 1) / 2))
for n in $rows $half; do
	awk -v rows="$n" -v due=$((EPOCHSECONDS + 7 * 86400)) 'BEGIN {
		print "merchant_uid,amount,vbank_code,vbank_due,vbank_holder,name,buyer_name,buyer_tel"
		for (i = 1; i <= rows; i++) printf "ORDER-%05d,%d,004,%d,한빛상사,머그컵,홍길동,010-0000-1234\n", i, 1000 + i, due
	}' >"$orders.$n.csv"
done
go build -o "$tmp/vbankbatch" .
sleep 1 # vbankbatch waits to see whether a file that is younger is still being written

serve() { # SANDBOX-FLAG…
	: >"$tmp/address"
	"$tmp/vbankbatch" sandbox --listen 127.0.0.1:0 "$@" >"$tmp/address" 2>"$tmp/sandbox.stderr" &
	sandbox=$!
	until read -r API_URL <"$tmp/address"; do
		kill -0 $sandbox 2>/dev/null || { cat "$tmp/sandbox.stderr" >&2; exit 1; }
		sleep 0.02
	done
}

run() { # NAME ORDERS [VBANKBATCH-FLAG…]
	local command=("testdata/peers/$1" "$orders.$2.csv" "$results")
	if [[ $1 = vbankbatch ]]; then
		command=("$tmp/vbankbatch" run --api-url "$API_URL" --ledger "$tmp/ledger.db" --out "$results"
			--workers 16 --rate 0 --doubt-wait 3s "${@:3}" "$orders.$2.csv")
	fi
	timeout -k 5 $((60 + rows / 20)) "${command[@]}" >"$tmp/output" 2>&1 &
	peer=$!
	wait $peer || true # its results tell
	peer=
}

# judge compares the results with the sandbox's accounts, order by order. vbankbatch's results have the line of the
# order; the columns behind its message, which may hold commas, are counted from the end.
judge() { # ORDERS MICROSECONDS
	awk -F, -v rows="$1" -v micros="$2" '
		function value(name) {
			return match($0, "\"" name "\":\"[^\"]*") ? substr($0, RSTART + length(name) + 4, RLENGTH - length(name) - 4) : ""
		}
		FILENAME ~ /replies$/ {
			for (; match($0, /"429":[0-9]+/); $0 = substr($0, RSTART + RLENGTH)) busy += substr($0, RSTART + 6, RLENGTH - 6)
			next
		}
		FILENAME ~ /accounts$/ {
			uid = value("merchant_uid"); made[uid]++; own[uid, value("vbank_num")] = 1
			next
		}
		FNR == 1 { for (i = 1; i <= NF; i++) column[$i] = i; width = NF; next }
		{
			uid = "line" in column ? sprintf("ORDER-%05d", $column["line"] - 1) : $column["merchant_uid"]
			said[uid] = $column["status"]
			number[uid] = "line" in column ? $(column["vbank_num"] - width + NF) : $column["vbank_num"]
		}
		END {
			for (i = 1; i <= rows; i++) {
				uid = sprintf("ORDER-%05d", i)
				if (made[uid] > 1) twice++
				if (said[uid] != "issued" && made[uid]) hidden++
				else if (said[uid] != "issued") none++
				else if (!((uid, number[uid]) in own)) untrue++
				else if (made[uid] == 1) good++
			}
			printf "good=%d\ntwice=%d\nhidden=%d\nuntrue=%d\nnone=%d\nbusy=%d\n", good, twice, hidden, untrue, none, busy
			printf "seconds=%.1f\nspeed=%.0f\n", micros / 1e6, rows / (micros / 1e6)
		}' "$tmp/replies" "$tmp/accounts" "$results"
}

declare -A cell
status=0
# measure runs a peer against a new sandbox and keeps what came of it in cell[NAME,SCENARIO,…].
measure() { # NAME SCENARIO ORDERS VBANKBATCH-FLAGS SANDBOX-FLAG…
	local began micros key value
	serve "${@:5}"
	rm -f "$results" "$tmp"/ledger.db*
	began=${EPOCHREALTIME/[^0-9]/}
	run "$1" "$3" $4
	micros=$((${EPOCHREALTIME/[^0-9]/} - began))
	touch "$results"
	curl -sS "$API_URL/_sandbox/accounts" >"$tmp/accounts"
	curl -sS "$API_URL/_sandbox/replies" >"$tmp/replies"
	kill $sandbox
	wait $sandbox || true
	sandbox=
	while IFS== read -r key value; do
		cell[$1,$2,$key]=$value
	done < <(judge "$3" $micros)
	if [[ $1 = vbankbatch || $2 = plain ]] && [[ ${cell[$1,$2,good]} -ne $3 ]]; then
		status=1
		echo "$1, $2: only ${cell[$1,$2,good]} of $3 orders have one account, and are said to" >&2
		tail -n 20 "$tmp/output" >&2
	fi
}

names=()
for pair in curl.sh:xargs threads.py:python3 pool.mjs:node vbankbatch:go; do
	name=${pair%:*}
	if ! command -v "${pair#*:}" >/dev/null; then
		echo "$name is skipped: there is no ${pair#*:}" >&2
		continue
	fi
	names+=("$name")
	measure "$name" plain "$rows" ""
	measure "$name" slow "$rows" "" --latency 50ms
	measure "$name" lost "$rows" "" --seed 1 --drop-after 0.02 --drop-before 0.01 --error-after 0.01 --cut-json 0.005
	measure "$name" limit "$half" "" --limit 100
done
measure vbankbatch paced "$half" "--rate 100" --limit 100

row() { # TITLE SCENARIO KEY
	printf '| %s |' "$1"
	for name in "${names[@]}"; do
		printf ' %s |' "${cell[$name,$2,$3]-–}"
	done
	echo
}
printf '| %s orders, 16 at once |' "$rows"
printf ' %s |' "${names[@]}"
printf '\n|---|'
printf -- '---|%.0s' "${names[@]}"
echo
row "no faults: rows a second" plain speed
row "replies after 50 ms: rows a second, of 320 at most" slow speed
row "**lost replies**: orders that got two accounts or more" lost twice
row "… that have an account and are not said to" lost hidden
row "… that are said to have an account and have none, or another" lost untrue
row "… that have none, as is said" lost none
row "… seconds" lost seconds
row "**a limit of 100 requests a second**, half of the orders: rows a second" limit speed
row "… requests answered with 429" limit busy
row "… orders that got no account" limit none
row "… with \`--rate 100\`: rows a second" paced speed
row "… requests answered with 429" paced busy
exit $status
