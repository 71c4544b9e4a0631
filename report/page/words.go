package page

import (
	"vbankbatch/batch"
	"vbankbatch/client/say"
)

// words are the page's sentences, whole, by the names that the template has for them.
var words = map[string]string{
	"title":    say.Mark("Virtual accounts: what became of a run"),
	"sandbox":  say.Mark("This run was a trial against a sandbox: nobody can pay into these accounts."),
	"again":    say.Mark("Written again from the ledger, as it knows the run now."),
	"went on":  say.Mark("The run went on where an earlier one was interrupted; the rows of both are counted."),
	"file":     say.Mark("File"),
	"took":     say.Mark("Took"),
	"api":      say.Mark("API"),
	"run":      say.Mark("Run"),
	"version":  say.Mark("Program"),
	"korean":   say.Mark("Korea’s time"),
	"h min":    say.Mark("%d h %d min"),
	"min s":    say.Mark("%d min %d s"),
	"s":        say.Mark("%.1f s"),
	"contents": say.Mark("The figures"),

	"all done":    say.Mark("Every row is done."),
	"not done":    say.Mark("Rows that were not done: %s. The reasons are below."),
	"unknown":     say.Mark("Rows of which it is not known yet what became of them: %s. vbankbatch reconcile finds out; issue nothing for them by other means before that."),
	"interrupted": say.Mark("The run was interrupted. The same command again goes on with it."),
	"ended early": say.Mark("The run ended early (%s). When the cause is gone, the same command again goes on with it."),

	"rows":         say.Mark("Rows"),
	"accounts":     say.Mark("Accounts"),
	"won":          say.Mark("Won"),
	"issued":       say.Mark("Accounts issued"),
	"issued won":   say.Mark("Won issued"),
	"failed":       say.Mark("Not done"),
	"doubtful":     say.Mark("Not known yet"),
	"by status":    say.Mark("By status"),
	"by bank":      say.Mark("Issued, by bank"),
	"by pg":        say.Mark("Issued, by PG"),
	"status":       say.Mark("Status"),
	"bank":         say.Mark("Bank"),
	"pg":           say.Mark("PG"),
	"sum":          say.Mark("All"),
	"others":       say.Mark("Others"),
	"not told":     say.Mark("Not told"),
	"course":       say.Mark("The course of the run"),
	"speed":        say.Mark("Issues, updates and revocations answered, a second"),
	"speed told":   say.Mark("%s a second on average, %s at most."),
	"latency":      say.Mark("How long the API took to answer, ms"),
	"latency told": say.Mark("Half of the answers came faster than the solid line, 99%% faster than the dashed one. The slowest took %s."),
	"half":         say.Mark("half"),
	"most":         say.Mark("99 %"),
	"ms":           say.Mark("%s ms"),
	"too short":    say.Mark("The run was too short for a chart."),

	"reasons":       say.Mark("Rows to look at"),
	"reason rows":   say.Mark("rows: %s"),
	"reason line":   say.Mark("line %d"),
	"reason others": say.Mark("%s others stand in the results."),
	"no reasons":    say.Mark("None."),

	"issued accounts": say.Mark("Accounts issued"),
	"no accounts":     say.Mark("No account was issued in this run."),
	"masked":          say.Mark("Account numbers and holders are masked; the results have them in full."),
	"others accounts": say.Mark("%s others stand in the results."),
	"order":           say.Mark("Order"),
	"account":         say.Mark("Account"),
	"due":             say.Mark("Due"),

	"requests":      say.Mark("Requests to the API"),
	"endpoint":      say.Mark("Request"),
	"count":         say.Mark("Number"),
	"retries":       say.Mark("Sent again"),
	"class none":    say.Mark("no reply"),
	"half ms":       say.Mark("Half, ms"),
	"p90 ms":        say.Mark("90 %, ms"),
	"p99 ms":        say.Mark("99 %, ms"),
	"max ms":        say.Mark("Slowest, ms"),
	"latency means": say.Mark("The time is from being let go by the limiter to the reply’s last byte, of requests that got a whole reply."),
	"waited":        say.Mark("All requests together waited %s to be let go."),
	"too many":      say.Mark("The API refused %s requests as too many (429), and nothing was sent for %s."),
	"seems to take": say.Mark("It seems to take %.1f a second."),
	"api failed":    say.Mark("The API failed at %s requests or left them without an answer, and was sent as few as %d at once."),
	"in doubt":      say.Mark("Orders in doubt in all of the ledger: %s"),
	"reading":       say.Mark("How the file was read"),
	"encoding":      say.Mark("Encoding"),
	"header line":   say.Mark("Header on line"),
	"digest":        say.Mark("SHA-256"),
	"results":       say.Mark("Results"),
	"column":        say.Mark("Column"),

	"status " + batch.Issued:        say.Mark("issued"),
	"status " + batch.AlreadyIssued: say.Mark("already issued"),
	"status " + batch.Updated:       say.Mark("updated"),
	"status " + batch.Unchanged:     say.Mark("unchanged"),
	"status " + batch.Revoked:       say.Mark("revoked"),
	"status " + batch.Skipped:       say.Mark("skipped"),
	"status " + batch.Invalid:       say.Mark("invalid"),
	"status " + batch.Rejected:      say.Mark("rejected"),
	"status " + batch.Conflict:      say.Mark("conflict"),
	"status " + batch.Unknown:       say.Mark("unknown"),
	"status " + batch.NotSent:       say.Mark("not sent"),
}

// T returns a sentence of the page's with its values filled in. One that is not known stands for itself.
func (p *page) T(key string, values ...any) string {
	sentence, ok := words[key]
	switch {
	case !ok:
		return key
	case len(values) == 0:
		return p.Language.Text(sentence)
	}
	return p.Language.Sprintf(sentence, values...)
}
