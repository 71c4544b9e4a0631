package command

import (
	"testing"

	"vbankbatch/client/say"
)

func TestLanguage(t *testing.T) {
	for _, test := range []struct {
		args                      []string
		environment, locale, want string
	}{
		{nil, "", "ko_KR.UTF-8", say.Korean},
		{nil, "", "C", say.English},
		{nil, "ko", "C", say.Korean},
		{[]string{"run", "--lang=en", "x"}, "ko", "ko", say.English},
		{[]string{"--lang", "ko", "run"}, "", "C", say.Korean},
		{[]string{"run", "--", "--lang=ko"}, "", "C", say.English},
		{[]string{"run", "--lang"}, "", "C", say.English},
		{[]string{"run", "--lang=fr"}, "fr", "ko", say.Korean}, // refused, in the locale's
	} {
		t.Setenv("LC_ALL", test.locale)
		t.Setenv("VBANKBATCH_LANG", test.environment)
		if got := language(test.args); got != test.want {
			t.Errorf("%+v: %s", test, got)
		}
	}
}

// TestPatterns: in English these words of kong come out as they went in.
func TestPatterns(t *testing.T) {
	for _, said := range []string{
		`unknown flag --nothing`, `unexpected argument chekc, did you mean "check"?`, `missing flags: --before=DATE`,
		`expected one of "run", "check"`, `expected "<file>"`, `--format must be one of "text","json" but got "xml"`,
	} {
		if got := translated(parsing, said); got != said {
			t.Errorf("%q became %q", said, got)
		}
	}
	for _, line := range []string{"Usage: vbankbatch <command> [flags]\n", "Flags:\n", "Arguments:\n", "Commands:\n", "Show context-sensitive help.\n",
		"Run \"vbankbatch <command> --help\" for more information on a command.\n", "Run \"vbankbatch ledger --help\" for more information.\n", "\n"} {
		if got := translated(helpWords, line); got != line {
			t.Errorf("%q became %q", line, got)
		}
	}
}
