package command

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rivo/uniseg"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/client/pg"
	"vbankbatch/client/say"
	"vbankbatch/report"
)

// TestExplain: every status and code is explained, in both languages, in lines that fit a terminal, and one name means one
// thing in any case of its letters.
func TestExplain(t *testing.T) {
	t.Parallel()
	all := explainable()
	want := slices.Clone(batch.Statuses)
	for code := range batch.Codes {
		want = append(want, code)
	}
	for code := range input.Sentences {
		want = append(want, string(code))
	}
	for rule := range pg.Rules {
		want = append(want, string(rule))
	}
	for code := range batch.Whys {
		want = append(want, code)
	}
	for code := range input.Whys {
		want = append(want, string(code))
	}
	want = append(want, report.ReasonDone, report.ReasonRowsNotDone, report.ReasonRowsUnknown, report.ReasonInterrupted, report.ReasonFailed)
	for _, code := range want {
		if !slices.Contains(all, code) {
			t.Errorf("%s is not explained", code)
		}
	}
	seen := make(map[string]bool)
	for _, code := range all {
		if folded := strings.ToUpper(code); seen[folded] {
			t.Errorf("%s means two things", code)
		} else {
			seen[folded] = true
		}
		texts := make(map[string]bool)
		for _, language := range []say.Language{say.English, say.Korean} {
			var out, errs bytes.Buffer
			if status := Main([]string{"explain", "--lang", string(language), strings.ToLower(code)}, nil, &out, &errs, time.Now); status != exitDone {
				t.Fatalf("%s: exit status %d, %s", code, status, &errs)
			}
			texts[out.String()] = true
			lines := strings.Split(out.String(), "\n")
			if lines[0] != code || len(lines) < 3 {
				t.Errorf("%s: %q", code, lines)
			}
			for _, line := range lines {
				if uniseg.StringWidth(line) > 80 {
					t.Errorf("%s: the line is too wide: %s", code, line)
				}
			}
		}
		if len(texts) != 2 {
			t.Errorf("%s: the Korean is the English", code)
		}
	}
}

func TestClosest(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"AMOUNT_MISING": "AMOUNT_MISSING", "excel": "KEY_DAMAGED_BY_EXCEL", "unknwon": "unknown", "NOTHING": "NOTHING_TO_CHANGE", "IN_DUOBT": "IN_DOUBT"} {
		if got := closest(name); len(got) != 3 || got[0] != want {
			t.Errorf("%s: %q, want %s first", name, got, want)
		}
	}
}
