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

// Meanings tells in a sentence what each status means, in English; package say has the Korean.
var Meanings = map[Status]string{
	Issued:        "an account was made for the order, or a request in doubt turned out to have made one",
	AlreadyIssued: "the order had its account; it is repeated here, and nothing was sent",
	Updated:       "the account's amount or due date was changed",
	Unchanged:     "the account had this amount and due date already",
	Revoked:       "the account was taken back",
	Skipped:       "there was nothing to do: --where leaves the row out, the amount is zero, or the line repeats another",
	Invalid:       "the row itself is wrong, and nothing was sent; mend it in the .failed.csv and run that",
	Rejected:      "the API or the PG refused, in its own words; mend the cause, then run the .failed.csv",
	Conflict:      "the row disagrees with an account that exists; the code says how, and what to do",
	Unknown:       "the API may have acted, and nobody knows yet; run again, or vbankbatch reconcile",
	NotSent:       "surely nothing was done; run again",
}

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
	CodeReplyDiffers      = ledger.ReplyDiffers  // conflict, unknown: the API did something else than was asked
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
	CodeLeaseLost         = "LEASE_LOST"         // ends the run: another host goes on with the merchant's orders
	CodeLedgerUnreachable = "LEDGER_UNREACHABLE" // ends the run: the ledger's database did not answer for --patience
	CodeStopped           = "STOPPED"            // not_sent: the run ended before it was this row's turn
)

// Codes tells in a sentence what each of a run's codes means, in English; package say has the Korean.
var Codes = map[string]string{
	CodeRepeated:          "the order stands on another line too, and is done with that one",
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
	CodeAPIUnreachable:    "the API could not be reached, or did not answer, or another server answered in its place; run again",
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
	CodeAllRefused:        "the first rows were all refused in the same words, and the run was stopped; look at the reason before anything is run again",
	CodeTimeIsUp:          "the time of --until has come; the same command goes on",
	CodeLeaseLost:         "another process has taken over the merchant's orders, and goes on where this one ended; run again to see what came of them",
	CodeLedgerUnreachable: "the ledger's database did not answer for as long as --patience says, and nothing is sent without it; run again",
	CodeStopped:           "the run ended before it was this row's turn; run again",
}

// Whys tells more of some codes, and of a status: why it comes to that, and what to do. In English, as Codes.
var Whys = map[string]string{
	CodeInDoubt:           "The request was sent and its answer was lost: a time-out, a broken connection, an error of the server. Asking the API did not help yet, or the run ended before “not found” could be believed. Issue nothing for the order by other means: it may have an account. The same command, or vbankbatch reconcile, asks again and takes over what the API then shows.",
	CodeSeveralAccounts:   "The API takes several accounts for one order, and a customer could pay into each. Another program may have issued one, or an answer was wrong. Look which account the customer was told, revoke the others by rows with the action revoke and their imp_uid, and run again. If the row stays as it is: vbankbatch ledger settle ORDER --account IMP_UID --reason TEXT.",
	CodeOtherAccount:      "An account of this order was found where the answer to a request was lost, or wrong, and it is not surely the one that was asked for: its amount differs, it is older than the request, it has no number, or there are several. The message says which. Revoke it by a row with its imp_uid if it is wrong. If it is right and the row is unknown, record that: vbankbatch ledger settle ORDER --account IMP_UID --reason TEXT.",
	CodeReplyDiffers:      "The reply says that the API has acted, and what it shows is not what was asked for: another amount, or an account that is not found under the order. So nothing is sent again. Look at the order in the PortOne console. Where the row is a conflict over the amount, change it by a row with the action update, or revoke the account and run again. Where the row is unknown, record what you found: vbankbatch ledger settle ORDER --account IMP_UID, or --none, with --reason TEXT.",
	CodeAccountMissing:    "The run asked the API once more at its end, or before it repeated the account, and the API did not show the account that it had confirmed. Do not tell the customer its number yet. The next run asks again, and clears the row once the account is there. If it stays away ask PortOne, then: vbankbatch ledger settle ORDER --none --reason TEXT, and the next run issues another.",
	CodeOrderUnknown:      "The row comes from a results file and says that it has an account. An account would be issued a second time if the order number had lost its zeros since, as Excel takes them. So nothing was sent. Compare the number with the first results. If the file is another merchant's or another ledger's, choose the right key or --ledger.",
	CodeDuplicateConflict: "Two rows with one order number differ in the amount, the due date or another field, and nobody but you knows which is right. Rows that are the same but for remarks are no problem: the first is done, the others are REPEATED. Rows that differ in other columns may be items of one order, or bills of several months: --items same, --items sum or --key says which.",
	CodeFiguresDiffer:     "The order was issued before, for another amount, until another date or at another bank than the row says now. A second account would be wrong, and a change has to be asked for.",
	CodeOrderPaid:         "A customer has paid for the order already, into an account that this ledger does not know. Nothing is to be issued.",
	CodeOrderDiffers:      "The row names an imp_uid and an order number, and the API says that they do not belong together. A change would hit another customer's account, so nothing was sent. Correct one of them, or leave the order number out.",
	CodePGRefused:         "The message has the API's own words, with the PG's code if it tells one. Mend what they name in the .failed.csv, and run that. If they name a contract or a setting, mend it in the PG's or PortOne's console first.",
	CodeNotFound:          "The imp_uid of the row may be mistyped, or belong to another merchant's key, tier or API address.",
	CodeNotReady:          "It is paid, revoked or failed; the message says which. Such an account cannot be changed or taken back. If the order needs another account, run a row that issues one.",
	CodeAPIFailed:         "The request was sent several times, each time after the API had said that there is no account. The order has none, and may be run again when the API is well.",
	CodeAPIUnreachable:    "The run waited as long as --patience says, and asked by harmless look-ups whether the API was back. Nothing that acts was sent meanwhile. A proxy that answers in the API's place looks the same. The same command goes on later.",
	CodeUnauthorized:      "IMP_KEY or IMP_SECRET is wrong, or is another API's, or was replaced in the PortOne console. Nothing was sent. Put the right ones there, or into the files that IMP_KEY_FILE and IMP_SECRET_FILE name, and run again.",
	CodeTooManyFailures:   "The reasons in the summary say what was refused. When the cause is gone the same command sends the refused rows again, and then the rest.",
	CodeNoContract:        "The API says so of every row of the PG, so the run was stopped. Conclude the contract, or correct --pg or the rows' pg. The same command then sends the refused rows again.",
	CodePlanEnded:         "Look at the plan in the PortOne console. When it allows virtual accounts again, the same command sends the refused rows again.",
	CodeAllRefused:        "A reason that holds for 20 rows in a row, and none was accepted, holds for the rest: a contract, a setting, a column that was read wrongly. The message has the API's words. When the cause is gone, run the .failed.csv for the refused rows; the same command goes on with the rest.",
	CodeTooManyInDoubt:    "A thousand rows wait to be looked up because their answers were lost. To send more would only make more of them. The next run first asks about those.",
	CodeLookUpsDisagree:   "Before an order is issued that the ledger does not know, the API is asked for it in two ways. Here one of the answers must be wrong, and a guess could make a second account.",
	Unknown:               "Issue nothing for the order by other means before it is known: it may have an account. The next run that names the order asks the API, and so does vbankbatch reconcile. A few are left to a person; their code is not IN_DOUBT, and says what to look for.",
}

var codeMessages = say.Messages(Codes)

// meaning tells what a code means; nothing of one that is not in Codes.
func meaning(code string) say.Message { return codeMessages[code] }
