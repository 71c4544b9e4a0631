package command

import (
	"testing"

	"vbankbatch/client/say"
)

func TestLanguage(t *testing.T) {
	for _, test := range []struct {
		args                []string
		environment, locale string
		want                say.Language
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
