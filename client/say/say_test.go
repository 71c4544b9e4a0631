package say

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
)

func Example() {
	reader := Writer{os.Stdout, Korean}
	fmt.Println(reader.Text("the due date has passed"))
	reader.Printf("%s of %s rows", "3", "12")
	fmt.Println()
	fmt.Println(reader.Text("nobody has translated this"))
	// Output:
	// 입금기한이 지났습니다
	// 12건 중 3건
	// nobody has translated this
}

func TestErrors(t *testing.T) {
	early, same := New("the ledger is closed"), New("the ledger is closed")
	for language, want := range map[Language]string{English: "the ledger: the ledger is closed", Korean: "발급 대장: 발급 대장이 닫혀 있습니다", "fr": "the ledger: the ledger is closed"} {
		err := Errorf("the ledger: %w", early)
		if language.Error(err) != want || language.Sprintf("%v", err) != want || language.Sprintf("%s", Of(err)) != want || err.Error() != Of(err).In(English) || !errors.Is(err, early) || errors.Is(err, same) {
			t.Errorf("%s: %v", language, err)
		}
		var b strings.Builder
		if (Writer{&b, language}).Printf("error: %v\n", Errorf("there is no ledger at %s: %w", "x", fs.ErrNotExist)); !strings.HasSuffix(b.String(), ": file does not exist\n") {
			t.Errorf("%s: %q", language, b.String())
		}
	}
}

func TestLocale(t *testing.T) {
	for _, test := range []struct {
		all, messages, lang string
		want                Language
	}{
		{"", "", "", English}, {"", "", "ko_KR.UTF-8", Korean}, {"", "ko", "en_US.UTF-8", Korean}, {"C", "ko", "ko", English},
		{"ko_KR.eucKR", "en", "", Korean}, {"", "", "kok_IN", English}, {"", "", "POSIX", English},
	} {
		t.Setenv("LC_ALL", test.all)
		t.Setenv("LC_MESSAGES", test.messages)
		t.Setenv("LANG", test.lang)
		if got := Locale(); got != test.want {
			t.Errorf("%+v: %s", test, got)
		}
	}
}

func TestName(t *testing.T) {
	for name, want := range map[string]string{"in/주문 1.csv": "in/주문 1.csv", "a\x1b[2J.csv": `"a\x1b[2J.csv"`, "a\nb": `"a\nb"`, "\xc1\xd6": `"\xc1\xd6"`, "a\u202eb": `"a\u202eb"`, "a\u009b": `"a\u009b"`} {
		if got := Name(name); got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
}
