package report

import (
	"fmt"

	"vbankbatch/batch"
)

// The languages of the page.
const (
	Korean  = "ko"
	English = "en"
)

// words are the page's sentences, whole, each in both languages.
var words = map[string]struct{ ko, en string }{
	"title":    {"가상계좌 처리 결과", "Virtual accounts: what became of a run"},
	"sandbox":  {"시험 환경(샌드박스)에서 실행한 결과입니다. 실제로 입금할 수 있는 계좌가 아닙니다.", "This run was a trial against a sandbox: nobody can pay into these accounts."},
	"again":    {"원장(ledger)에 남은 기록으로 다시 작성한 보고서입니다.", "Written again from the ledger, as it knows the run now."},
	"went on":  {"중단되었던 실행을 이어서 처리했습니다. 행 수는 두 실행을 합한 것입니다.", "The run went on where an earlier one was interrupted; the rows of both are counted."},
	"file":     {"파일", "File"},
	"took":     {"걸린 시간", "Took"},
	"api":      {"API", "API"},
	"run":      {"실행 번호", "Run"},
	"version":  {"프로그램", "Program"},
	"korean":   {"한국 시간", "Korea’s time"},
	"h min":    {"%d시간 %d분", "%d h %d min"},
	"min s":    {"%d분 %d초", "%d min %d s"},
	"s":        {"%.1f초", "%.1f s"},
	"contents": {"주요 수치", "The figures"},

	"all done":    {"모든 행의 처리가 끝났습니다.", "Every row is done."},
	"not done":    {"처리되지 않은 행이 있습니다: %s건. 이유는 아래에 있습니다.", "Rows that were not done: %s. The reasons are below."},
	"unknown":     {"결과를 아직 알 수 없는 행이 있습니다: %s건. 같은 명령을 다시 실행하면 확인합니다. 그 전에는 다시 발급하지 마십시오.", "Rows of which it is not known yet what became of them: %s. The same command again finds out; issue nothing for them by other means before that."},
	"interrupted": {"실행이 도중에 중단되었습니다. 같은 명령을 다시 실행하면 이어서 처리합니다.", "The run was interrupted. The same command again goes on with it."},
	"ended early": {"실행이 일찍 끝났습니다(%s). 원인을 해결한 뒤 같은 명령을 다시 실행하십시오.", "The run ended early (%s). When the cause is gone, the same command again goes on with it."},

	"rows":         {"행", "Rows"},
	"accounts":     {"계좌", "Accounts"},
	"won":          {"금액(원)", "Won"},
	"issued":       {"발급 건수", "Accounts issued"},
	"issued won":   {"발급 금액(원)", "Won issued"},
	"failed":       {"미처리", "Not done"},
	"doubtful":     {"확인 필요", "Not known yet"},
	"by status":    {"상태별", "By status"},
	"by bank":      {"발급 은행별", "Issued, by bank"},
	"by pg":        {"발급 PG별", "Issued, by PG"},
	"status":       {"상태", "Status"},
	"bank":         {"은행", "Bank"},
	"pg":           {"PG", "PG"},
	"sum":          {"합계", "All"},
	"others":       {"그 밖", "Others"},
	"not told":     {"알 수 없음", "Not told"},
	"course":       {"실행 경과", "The course of the run"},
	"speed":        {"초당 처리한 발급·변경·말소 요청", "Issues, updates and revocations answered, a second"},
	"speed told":   {"평균 초당 %s건, 가장 많을 때 초당 %s건.", "%s a second on average, %s at most."},
	"latency":      {"API 응답 시간(ms)", "How long the API took to answer, ms"},
	"latency told": {"절반은 실선, 99%%는 점선보다 빨리 응답했습니다. 가장 느린 응답은 %s.", "Half of the answers came faster than the solid line, 99%% faster than the dashed one. The slowest took %s."},
	"half":         {"절반", "half"},
	"most":         {"99%", "99 %"},
	"ms":           {"%sms", "%s ms"},
	"too short":    {"실행이 짧아 그래프가 없습니다.", "The run was too short for a chart."},

	"reasons":       {"살펴볼 행", "Rows to look at"},
	"reason rows":   {"%s건", "rows: %s"},
	"reason line":   {"%d행", "line %d"},
	"reason others": {"그 밖의 %s건은 결과 파일에 있습니다.", "%s others stand in the results."},
	"no reasons":    {"없습니다.", "None."},

	"issued accounts": {"발급된 계좌", "Accounts issued"},
	"no accounts":     {"이번 실행에서 발급된 계좌가 없습니다.", "No account was issued in this run."},
	"masked":          {"계좌번호와 예금주는 가려져 있습니다. 전체는 결과 파일에 있습니다.", "Account numbers and holders are masked; the results have them in full."},
	"others accounts": {"그 밖의 %s건은 결과 파일에 있습니다.", "%s others stand in the results."},
	"order":           {"주문번호", "Order"},
	"account":         {"가상계좌", "Account"},
	"due":             {"입금기한", "Due"},

	"requests":      {"API 요청", "Requests to the API"},
	"endpoint":      {"요청", "Request"},
	"count":         {"횟수", "Number"},
	"retries":       {"재시도", "Sent again"},
	"class none":    {"응답 없음", "no reply"},
	"half ms":       {"절반(ms)", "Half, ms"},
	"p90 ms":        {"90%(ms)", "90 %, ms"},
	"p99 ms":        {"99%(ms)", "99 %, ms"},
	"max ms":        {"최대(ms)", "Slowest, ms"},
	"latency means": {"응답 시간은 전송이 허용된 때부터 응답의 마지막 바이트까지이며, 응답이 끝까지 온 요청만 셉니다.", "The time is from being let go by the limiter to the reply’s last byte, of requests that got a whole reply."},
	"waited":        {"속도 제한에 따라 기다린 시간은 모두 합해 %s입니다.", "All requests together waited %s to be let go."},
	"too many":      {"API가 요청 %s건을 너무 많다며(429) 거절하여 %s 동안 전송을 멈췄습니다. 초당 %.1f건이 한도로 보입니다.", "The API refused %s requests as too many (429), and nothing was sent for %s; it seems to take %.1f a second."},
	"api failed":    {"API가 요청 %s건에 오류로 응답하거나 응답하지 않아, 동시에 보내는 요청을 %d건까지 줄였습니다.", "The API failed at %s requests or left them without an answer, and was sent as few as %d at once."},
	"in doubt":      {"원장 전체에서 결과를 알 수 없는 주문: %s건", "Orders in doubt in all of the ledger: %s"},
	"reading":       {"읽은 방식", "How the file was read"},
	"encoding":      {"인코딩", "Encoding"},
	"header line":   {"제목 줄", "Header on line"},
	"digest":        {"SHA-256", "SHA-256"},
	"results":       {"결과 파일", "Results"},
	"column":        {"열", "Column"},

	"status " + batch.Issued:        {"발급", "issued"},
	"status " + batch.AlreadyIssued: {"이미 발급됨", "already issued"},
	"status " + batch.Updated:       {"변경", "updated"},
	"status " + batch.Unchanged:     {"변경 없음", "unchanged"},
	"status " + batch.Revoked:       {"말소", "revoked"},
	"status " + batch.Skipped:       {"건너뜀", "skipped"},
	"status " + batch.Invalid:       {"잘못된 행", "invalid"},
	"status " + batch.Rejected:      {"거절됨", "rejected"},
	"status " + batch.Conflict:      {"기존 계좌와 충돌", "conflict"},
	"status " + batch.Unknown:       {"결과 미확인", "unknown"},
	"status " + batch.NotSent:       {"보내지 않음", "not sent"},
}

// say returns a sentence with its values filled in. One that is not known stands for itself.
func say(lang, key string, values ...any) string {
	sentence, ok := words[key]
	text := sentence.en
	switch {
	case !ok:
		return key
	case lang == Korean:
		text = sentence.ko
	}
	if len(values) == 0 {
		return text
	}
	return fmt.Sprintf(text, values...)
}
