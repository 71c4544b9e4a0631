package batch

import (
	"cmp"
	"fmt"
	"strings"
	"testing"
	"time"

	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/client"
)

// TestPresent is the table of what a report says now: by what the run told of a row, and by how its order stands now. The row
// is line 2 of run 5, and asks for 1,000 won.
func TestPresent(t *testing.T) {
	t.Parallel()
	entry := func(run, line, amount int64, state ledger.State, impUID string) ledger.Entry {
		e := ledger.Entry{State: state}
		e.Run, e.Line, e.MerchantUID, e.Amount, e.Bank, e.Due = run, line, "A-1", amount, "004", 86400
		e.Status, e.Account = Issued, ledger.Account{ImpUID: impUID, VbankNum: "1"}
		return e
	}
	with := func(e ledger.Entry, change func(*ledger.Entry)) ledger.Entry { change(&e); return e }
	stands, otherAmount := entry(6, 9, 1000, ledger.Issued, "imp_6"), entry(6, 9, 900, ledger.Issued, "imp_6")
	own := entry(5, 2, 1000, ledger.Issued, "imp_5")
	said := func(status Status, code, impUID string) Result {
		return Result{Run: 5, Line: 2, Status: status, ErrorCode: code, Account: ledger.Account{ImpUID: impUID}}
	}
	doubt := entry(6, 9, 1000, ledger.Intended, "")
	changing := entry(6, 9, 1000, ledger.Changing, "imp_6")
	revoked, revokedBefore := entry(6, 9, 1000, ledger.Revoked, "imp_6"), entry(4, 9, 1000, ledger.Revoked, "imp_4")
	several := with(stands, func(e *ledger.Entry) { e.Status, e.ErrorCode = Unknown, CodeSeveralAccounts })
	moved := with(own, func(e *ledger.Entry) { e.NowAmount = 900 })
	later := with(stands, func(e *ledger.Entry) { e.Due = 2 * 86400 })
	wrong := func(code input.Code, field string) []input.Problem {
		return []input.Problem{{Code: code, Field: field}}
	}
	bank, amount, key := wrong(input.BankUnknown, "vbank_code"), wrong(input.AmountInvalid, "amount"), wrong(input.KeyFraction, "merchant_uid")
	for _, test := range []struct {
		name     string
		told     Result
		action   input.Action
		problems []input.Problem
		unread   bool // the amount could not be read
		now      ledger.Entry
		want     string // status, code, amount, imp_uid and the beginning of the message; "" is as told
	}{
		// no account
		{name: "refused", told: said("rejected", "PG_REFUSED", "")},
		{name: "invalid", told: said("invalid", "BANK_UNKNOWN", ""), problems: bank},
		{name: "not sent", told: said("not_sent", "STOPPED", "")},
		{name: "paid elsewhere", told: said("conflict", "ORDER_PAID", "imp_1")},
		{name: "revoked by its run's own entry", told: said("revoked", "", "imp_5")},

		// the account of another file
		{name: "refused, then issued", told: said("rejected", "PG_REFUSED", ""), now: stands, want: "already_issued - 1000 imp_6"},
		{name: "invalid, then issued", told: said("invalid", "BANK_UNKNOWN", ""), problems: bank, now: stands, want: "already_issued - 1000 imp_6"},
		{name: "not sent, then issued", told: said("not_sent", "API_BUSY", ""), now: stands, want: "already_issued - 1000 imp_6"},
		{name: "unknown, then issued", told: said("unknown", "IN_DOUBT", ""), now: stands, want: "already_issued - 1000 imp_6"},
		{name: "revoked, then issued", told: said("revoked", "", "imp_5"), now: stands, want: "already_issued - 1000 imp_6"},
		{name: "a conflict that is none any more", told: said("conflict", "FIGURES_DIFFER", "imp_6"), now: stands, want: "already_issued - 1000 imp_6"},
		{name: "refused, then issued for another amount", told: said("rejected", "PG_REFUSED", ""), now: otherAmount, want: "conflict FIGURES_DIFFER 900 imp_6 the account is for 900 won, the row says 1000"},
		{name: "another bank was wrong, and the amount differs", told: said("invalid", "BANK_UNKNOWN", ""), problems: bank, now: otherAmount, want: "conflict FIGURES_DIFFER 900 imp_6"},
		{name: "the amount was wrong", told: said("invalid", "AMOUNT_INVALID", ""), problems: amount, unread: true, now: stands, want: "already_issued - 1000 imp_6 the row's amount was wrong; the account is for 1000 won"},
		{name: "refused, then issued with another due date", told: said("rejected", "PG_REFUSED", ""), now: later, want: "already_issued - 1000 imp_6 the account is due"},
		{name: "a conflict over the due date", told: said("conflict", "FIGURES_DIFFER", "imp_6"), now: later, want: "conflict FIGURES_DIFFER 1000 imp_6 the account is due"},
		{name: "its number was purged", told: said("rejected", "PG_REFUSED", ""), now: with(stands, func(e *ledger.Entry) { e.VbankNum = "" }), want: "already_issued ACCOUNT_PURGED 1000 imp_6"},

		// the account of the row itself
		{name: "issued", told: said("issued", "", "imp_5"), now: own},
		{name: "issued, and its due date was changed", told: said("issued", "", "imp_5"), now: with(own, func(e *ledger.Entry) { e.NowDue = 2 * 86400 })},
		{name: "issued, and its amount was changed", told: said("issued", "", "imp_5"), now: moved, want: "conflict FIGURES_DIFFER 900 imp_5 the account is for 900 won, the row says 1000"},
		{name: "issued for another amount than was asked", told: said("conflict", "REPLY_DIFFERS", "imp_5"), now: moved},
		{name: "the same, put right", told: said("conflict", "REPLY_DIFFERS", "imp_5"), now: own, want: "already_issued - 1000 imp_5"},

		// doubt
		{name: "refused, and in doubt by another file", told: said("rejected", "PG_REFUSED", ""), now: doubt, want: "unknown IN_DOUBT 1000"},
		{name: "in doubt by the run", told: said("unknown", "REPLY_DIFFERS", ""), now: entry(5, 2, 1000, ledger.Intended, "")},
		{name: "issued, and a change is in doubt", told: said("issued", "", "imp_6"), now: changing, want: "unknown IN_DOUBT 1000 imp_6"},
		{name: "several accounts", told: said("not_sent", "STOPPED", ""), now: several, want: "unknown SEVERAL_ACCOUNTS 1000 imp_6"},

		// taken back
		{name: "refused, issued, revoked", told: said("rejected", "PG_REFUSED", ""), now: revoked, want: "revoked - 1000 imp_6"},
		{name: "revoked before the run, which did not issue another", told: said("not_sent", "API_BUSY", ""), now: revokedBefore},
		{name: "had its account in the run, which needed no entry", told: Result{Line: 2, Status: NotSent, ErrorCode: CodeStopped}, now: revokedBefore, want: "revoked - 1000 imp_4"},

		// whose order is not sure
		{name: "a wrong order number", told: said("invalid", "KEY_FRACTION", ""), problems: key, now: stands},
		{name: "cells in other columns", told: said("invalid", "COLUMN_COUNT", ""), problems: wrong(input.ColumnCount, ""), now: stands},
		{name: "lines that disagree", told: said("invalid", "DUPLICATE_CONFLICT", ""), problems: wrong(CodeDuplicateConflict, ""), now: stands},
		{name: "left out", told: said("skipped", "FILTERED", ""), now: stands},

		// updates and revocations
		{name: "updated", action: input.Update, told: said("updated", "", "imp_6"), now: stands},
		{name: "updated, and again since", action: input.Update, told: said("updated", "", "imp_6"), now: otherAmount, want: "conflict FIGURES_DIFFER 900 imp_6 the account was changed again since"},
		{name: "updated, then revoked", action: input.Update, told: said("updated", "", "imp_4"), now: revokedBefore, want: "revoked - 1000 imp_4"},
		{name: "an update refused, then done", action: input.Update, told: said("rejected", "PG_REFUSED", "imp_6"), now: stands, want: "unchanged - 1000 imp_6"},
		{name: "an update refused, and not done", action: input.Update, told: said("rejected", "PG_REFUSED", "imp_6"), now: otherAmount},
		{name: "a wrong update", action: input.Update, told: said("invalid", "DATE_INVALID", ""), problems: wrong(input.DateInvalid, "vbank_due"), now: stands},
		{name: "a revocation refused, then done", action: input.Revoke, told: said("rejected", "PG_REFUSED", "imp_4"), now: revokedBefore, want: "unchanged - 1000 imp_4"},
		{name: "revoked, then issued anew", action: input.Revoke, told: said("revoked", "", "imp_5"), now: stands},
	} {
		row := &input.Row{Line: 2, Action: test.action, Bank: "004", Problems: test.problems, Request: client.IssueRequest{MerchantUID: "A-1", Amount: 1000, VbankDue: 86400}}
		if test.action == "" {
			row.Action = input.Issue
		}
		if test.unread {
			row.Request.Amount = 0
		}
		j := job{row: row, order: test.now}
		j.begin(test.told.Status)
		got := j.present(test.told, ledger.Run{ID: 5, Finished: time.Unix(1, 0)})
		if test.want == "" {
			if got != test.told {
				t.Errorf("%s: %+v", test.name, got)
			}
			continue
		}
		text := fmt.Sprint(cmp.Or(got.Status, "-"), " ", cmp.Or(got.ErrorCode, "-"), " ", got.Amount, " ", got.ImpUID, " ", got.ErrorMessage)
		if !strings.HasPrefix(strings.ReplaceAll(text, "  ", " "), test.want) {
			t.Errorf("%s: %s, want %s", test.name, text, test.want)
		}
	}
}
