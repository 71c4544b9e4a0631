#!/usr/bin/env node
// Issues a virtual account for every row of a CSV, with 16 workers: pool.mjs ORDERS RESULTS
// The API's address and credentials are in API_URL, IMP_KEY and IMP_SECRET. The columns of ORDERS are the API's own;
// those of RESULTS are merchant_uid, status, vbank_num, error.
import { createWriteStream, readFileSync } from "node:fs";
import { text as read } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";

const WORKERS = 16, ATTEMPTS = 3;
const { API_URL, IMP_KEY, IMP_SECRET } = process.env;
const [orders, results] = process.argv.slice(2);
const { Agent, request } = await import(API_URL.startsWith("https:") ? "node:https" : "node:http");
const agent = new Agent({ keepAlive: true, maxSockets: WORKERS });

// parse reads CSV, quotation marks included.
function parse(text) {
  const rows = [[]];
  for (const [, quoted, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^,\r\n]*))(,|\r?\n|$)/g)) {
    rows.at(-1).push(quoted?.replaceAll('""', '"') ?? plain);
    if (end === "") break;
    if (end !== ",") rows.push([]);
  }
  const [header, ...lines] = rows.filter((row) => row.length > 1);
  return lines.map((line) => Object.fromEntries(header.map((name, i) => [name, line[i]])));
}

// send sends a request once. The agent keeps connections alive; fetch does so too, and is slower.
function send(path, body, headers) {
  return new Promise((resolve, reject) => {
    const data = Buffer.from(JSON.stringify(body));
    headers = { "Content-Type": "application/json", "Content-Length": data.length, ...headers };
    const options = { agent, method: "POST", headers, signal: AbortSignal.timeout(30_000) };
    const sending = request(API_URL + path, options, (reply) => {
      const { statusCode: status, headers: { "retry-after": retryAfter } } = reply;
      read(reply).then((text) => resolve({ status, retryAfter, text }), reject);
    });
    sending.on("error", reject).end(data);
  });
}

// post sends a request and returns the response in the reply. It tries again after exceptions, 5xx and 429.
async function post(path, body, headers = {}, attempt = 1) {
  let answer, wait = 250 * 2 ** attempt;
  try {
    const { status, retryAfter, text } = await send(path, body, headers);
    wait = 1000 * Number(retryAfter) || wait;
    if (status === 429 || status >= 500) throw new Error(`HTTP ${status}`);
    answer = JSON.parse(text);
  } catch (e) {
    if (attempt === ATTEMPTS) throw e;
    await sleep(wait);
    return post(path, body, headers, attempt + 1);
  }
  if (answer.code !== 0) throw new Error(answer.message);
  return answer.response;
}

const token = await post("/users/getToken", { imp_key: IMP_KEY, imp_secret: IMP_SECRET });
const headers = { Authorization: `Bearer ${token.access_token}` };
const rows = parse(readFileSync(orders, "utf8").replace(/^\ufeff/, "")).values();
const out = createWriteStream(results);
out.write("merchant_uid,status,vbank_num,error\n");
let failed = 0;
// The workers share one iterator, so each takes the next row when it is free.
async function worker() {
  for (const row of rows) {
    try {
      const account = await post("/vbanks", { ...row, amount: Number(row.amount), vbank_due: Number(row.vbank_due) }, headers);
      out.write(`${row.merchant_uid},issued,${account.vbank_num},\n`);
    } catch (e) {
      failed++;
      out.write(`${row.merchant_uid},failed,,"${String(e.message).replaceAll('"', '""')}"\n`);
    }
  }
}

await Promise.all(Array.from({ length: WORKERS }, worker));
agent.destroy();
out.end();
if (failed > 0) console.error(`${failed} rows failed`);
process.exitCode = failed > 0 ? 1 : 0;
