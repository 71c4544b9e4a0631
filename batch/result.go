package batch

import (
	"vbankbatch/batch/ledger"
	"vbankbatch/client/say"
)

// Status says what became of a row.
type Status = string

// The statuses. All but NotSent and Unknown are final: a run that continues leaves such rows alone.
const (
	Issued        Status = "issued"         // an account was made for the order, or one found that an issue in doubt had made
	AlreadyIssued Status = "already_issued" // it had one; repeated, nothing sent
	Updated       Status = "updated"        // amount or due date changed
	Unchanged     Status = "unchanged"      // was so already
	Revoked       Status = "revoked"        // the account was taken back
	Skipped       Status = "skipped"        // not to be done: filtered, zero balance, a repeated line
	Invalid       Status = "invalid"        // the row itself
	Rejected      Status = "rejected"       // the API said no
	Conflict      Status = "conflict"       // with an account that exists
	Unknown       Status = "unknown"        // the API may have acted; not known yet
	NotSent       Status = "not_sent"       // surely nothing was done
)

// Statuses lists them in the order in which a summary tells them.
var Statuses = []Status{Issued, AlreadyIssued, Updated, Unchanged, Revoked, Skipped, Invalid, Rejected, Conflict, Unknown, NotSent}

// Result is what the results say of one row.
type Result = ledger.Outcome

// NotDone reports whether a row of that status is for a person to mend, or to be run again. Unknown is: the ledger knows
// the order to be in doubt, whichever file names it, and asks before anything is sent.
func NotDone(status Status) bool {
	switch status {
	case Invalid, Rejected, Conflict, Unknown, NotSent:
		return true
	}
	return false
}

func final(status Status) bool { return status != NotSent && status != Unknown && status != "" }

// The codes of what a run finds, beside those that batch/input finds in a row. Codes are stable.
const (
	CodeRepeated          = "REPEATED"           // skipped: the order's first row is done
	CodeDuplicateConflict = "DUPLICATE_CONFLICT" // invalid: rows for one order that disagree
	CodeKeyLooksAlike     = "KEY_LOOKS_ALIKE"    // a warning: another order number differs in case or width alone
	CodeFiguresDiffer     = "FIGURES_DIFFER"     // conflict: issued with other figures
	CodeOrderPaid         = "ORDER_PAID"         // conflict: paid already
	CodeSeveralAccounts   = "SEVERAL_ACCOUNTS"   // conflict, unknown: more than one account could be meant
	CodeOtherAccount      = "OTHER_ACCOUNT"      // unknown, conflict: an account that does not match
	CodeOrderUnknown      = "ORDER_UNKNOWN"      // conflict: a results file says issued, and nobody knows the order
	CodeOrderDiffers      = "ORDER_DIFFERS"      // conflict: the imp_uid belongs to another order
	CodePGRefused         = "PG_REFUSED"         // rejected: the API or the PG said no; its own words follow
	CodeNotFound          = "NOT_FOUND"          // rejected: no such account
	CodeNotReady          = "NOT_READY"          // rejected: the account does not wait for a deposit
	CodeAPIFailed         = "API_FAILED"         // rejected: lost again and again, and surely no account
	CodeAccountMissing    = "ACCOUNT_MISSING"    // unknown: made, as the API said, and not to be found now
	CodeBankDiffers       = "BANK_DIFFERS"       // issued, already_issued: at another bank than was asked for
	CodeAccountPurged     = "ACCOUNT_PURGED"     // already_issued, unchanged: with an account whose number was purged from the ledger
	CodeInDoubt           = "IN_DOUBT"           // unknown: no answer, and none to be had by asking
	CodeReplyDiffers      = "REPLY_DIFFERS"      // conflict, unknown: the API did something else than was asked
	CodeAPIUnreachable    = "API_UNREACHABLE"    // not_sent: no connection
	CodeAPIBusy           = "API_BUSY"           // not_sent: rate limited for too long
	CodeUnauthorized      = "UNAUTHORIZED"       // not_sent: credentials or token refused
	CodeLookUpsDisagree   = "LOOK_UPS_DISAGREE"  // not_sent: the API's answers contradict each other
	CodeNoAccount         = "NO_ACCOUNT"         // not_sent: asking showed that there is no account
	CodeSettled           = "SETTLED"            // issued, not_sent: a person settled what was in doubt
	CodeTooManyFailures   = "TOO_MANY_FAILURES"  // ends the run: --max-failures
	CodeTooManyInDoubt    = "TOO_MANY_IN_DOUBT"  // ends the run: more rows lost their answer than can be waited for
	CodeNoContract        = "NO_CONTRACT"        // rejected; ends the run: the merchant has no contract for virtual accounts
	CodePlanEnded         = "PLAN_ENDED"         // rejected; ends the run: the API's own terms with the merchant have ended
	CodeKeyRefused        = "KEY_REFUSED"        // rejected; ends the run: pg_api_key is wrong
	CodeAllRefused        = "ALL_REFUSED"        // ends the run: one refusal for every row
	CodeTimeIsUp          = "TIME_IS_UP"         // ends the run: --until
	CodeStopped           = "STOPPED"            // not_sent: the run ended before it was this row's turn
)

// Codes tells in a sentence what each of a run's codes means, in English; package say has the Korean.
var Codes = map[string]string{
	CodeRepeated:          "the same row stands higher up in the file and was done there",
	CodeDuplicateConflict: "rows for one order say different things, so none was sent; leave the right one and run again",
	CodeKeyLooksAlike:     "another line's order number differs only in case or in the width of characters; if they are one order, write them alike",
	CodeFiguresDiffer:     "the order has an account with other figures; to change it use a row with the action update",
	CodeOrderPaid:         "the order is paid already",
	CodeSeveralAccounts:   "the API has several accounts for the order; a person must choose, and revoke the others by rows with their imp_uid",
	CodeOtherAccount:      "the API has an account for the order that does not match the row; a person must look, and keep it or revoke it by a row with its imp_uid",
	CodeOrderUnknown:      "the results say that the row was issued, and neither the ledger nor the API knows its order; its number may have been changed since, by Excel for example",
	CodeOrderDiffers:      "the imp_uid belongs to another order than the row says",
	CodePGRefused:         "the API or the PG refused; its own words follow",
	CodeNotFound:          "the API knows no such account",
	CodeNotReady:          "the account does not wait for a deposit any more",
	CodeAPIFailed:         "the API failed every time; it was asked, and there is no account",
	CodeAccountMissing:    "the API said that it had made the account, and does not show it any more; a person must look",
	CodeBankDiffers:       "the account was issued at another bank than the row asked for; it can be paid into",
	CodeAccountPurged:     "the order has its account, whose number the ledger no longer holds (vbankbatch ledger purge); the PortOne console shows it by its imp_uid",
	CodeInDoubt:           "the request may have reached the API and no answer says so; run again, or vbankbatch reconcile",
	CodeReplyDiffers:      "the API did something else than was asked; a person must look",
	CodeAPIUnreachable:    "the API could not be reached, or did not answer, or somebody else did in its place; run again",
	CodeAPIBusy:           "the API said too many requests for too long; run again with a lower --rate",
	CodeUnauthorized:      "the API refused the credentials or the token",
	CodeLookUpsDisagree:   "one look-up finds payments of the order and the other does not, so nothing was sent; run again",
	CodeNoAccount:         "it was not known whether it had been sent; the API was asked, and there is no account; run again",
	CodeSettled:           "a person settled what was in doubt (vbankbatch ledger settle), who and why is said",
	CodeTooManyFailures:   "the API refused as many rows as --max-failures allows, and the run was stopped",
	CodeTooManyInDoubt:    "the API lost more answers than can be waited for, and the run was stopped; run again when it is well",
	CodeNoContract:        "the merchant has no contract for virtual accounts with the PG, or the PG of the rows is the wrong one",
	CodePlanEnded:         "the merchant's plan with PortOne does not allow it, or has ended",
	CodeKeyRefused:        "KG Inicis refused pg_api_key; check IMP_PG_API_KEY, or the profile's pg_api_keys",
	CodeAllRefused:        "the first rows were all refused in the same words, and the run was stopped; the same command goes on behind them",
	CodeTimeIsUp:          "the time of --until has come; the same command goes on",
	CodeStopped:           "the run ended before it was this row's turn; run again",
}

// meanings are Codes as messages.
var meanings = func() map[string]say.Message {
	all := make(map[string]say.Message, len(Codes))
	for code, english := range Codes {
		all[code] = say.NewMessage(english)
	}
	return all
}()

// meaning tells what a code means; nothing of one that is not in Codes.
func meaning(code string) say.Message { return meanings[code] }
