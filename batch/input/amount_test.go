package input

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseAmount(t *testing.T) {
	for text, want := range map[string]int64{
		"1": 1, "35000": 35000, "1,234,000": 1234000, " 1,234,000 ": 1234000, "\u00a01,234,000\u3000": 1234000, "₩1,234,000": 1234000, "￦50000": 50000,
		`\49,900`: 49900, "1,234,000원": 1234000, "1,234,000 원": 1234000, "KRW 1,000": 1000, "1000krw": 1000, "₩1,000원": 1000, "１，２３４，０００": 1234000,
		"1,234,000.00": 1234000, "35000.0": 35000, "1.234.000": 1234000, "1.234,00": 1234, "1.234.000,00": 1234000, "010": 10, "1234.000": 1234,
		"35,000원정": 35000, "금 35,000원": 35000, "일금 35,000원": 35000, "일금35,000원정": 35000, "금 35,000 원정": 35000, "35,000.-": 35000, "35000.-": 35000, "35,000.- 원": 35000, "₩35,000.-": 35000,
		"35,000 원": 35000, "35,000₩": 35000, "35000￦": 35000, "KRW 35,000.00": 35000, "999999999999": MaxAmount, "0000000000000012": 12,
	} {
		if got, code := ParseAmount(text); got != want || code != "" {
			t.Errorf("ParseAmount(%q) = %d %s, want %d", text, got, code, want)
		}
	}
	for code, texts := range map[Code][]string{
		AmountMissing:   {"", "  ", "\u00a0"},
		AmountZero:      {"0", "-", " - ", "0.00", "₩0", "0원", "(0)", "−", "₩ -", "000"},
		AmountNegative:  {"(55,000)", "55,000-", "₩35,000-", "-35,000.-", "(35,000.-)", "-55,000", "−55000", "△55,000", "▲1", "-₩55,000", "₩-55,000", "(₩55,000)", "₩(55,000)", "(55,000)원"},
		AmountAmbiguous: {"1.234", "12.345", "123.000", "1,5", "12,34", "1,234.000", "1.234,567"},
		AmountFraction:  {"12.5", "0.5", "1,234.56", "1.234,56", "0.234", "1234.567"},
		AmountTooLarge:  {"1000000000000", "2026110312345670", "99999999999999999999999999"},
		CurrencyUnsupported: {"$100", "100 USD", "€5", "¥1,000", "1000엔", "EUR 1,000",
			"US$35", "USD35", "USD 35.00", "35 USD", "$35.00", "35달러", "35 불", "€35", "35€", "￥3500", "RMB 35", "HK$35", "HKD35", "฿35", "35 THB", "Rs 35₹", "vnd 350000", "35,000 원 ($25)", "-$35", "($35)", "CNY-35", "C$ 35", "35.50 CHF"},
		AmountInvalid: {"1만원", "abc", "12,3456", "1,23,456", ",123", "123,", "1..2", ".5", "5.", "1 234 000", "--5", "(-5)", "((5))", "₩₩5", "₩", "원", "()", "1e6", "0x1F",
			"1,234,00", "0,123", "1.2E+06", "+5", "1,234,000.00.00", "5원원", "1_000",
			".-", "-.-원", "35,000.--.-", "3.5만원", "3만5천원", "삼만오천원", "일금 삼만오천원정", "금", "일금", "금원", "원정", "35,000정", "USD", "엔", "달러", "35all5", "#N/A", "#REF!", "########", "NULL", "없음", "--", "₩35,000₩₩"},
	} {
		for _, text := range texts {
			if got, c := ParseAmount(text); c != code || (got < 0) != (code == AmountNegative) || got > 0 {
				t.Errorf("ParseAmount(%q) = %d %s, want %s", text, got, c, code)
			}
		}
	}
}

// grouped writes 1,234,000.
func grouped(n int64, separator string) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + separator + s[i:]
	}
	return s
}

func TestParseAmountReadsEveryForm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(1, MaxAmount).Draw(t, "won")
		number := rapid.SampledFrom([]string{fmt.Sprint(n), grouped(n, ","), grouped(n, ",") + ".00", fmt.Sprint(n) + ".0"}).Draw(t, "number")
		before := rapid.SampledFrom([]string{"", "₩", `\`, "￦ ", " ", "KRW ", "금 ", "일금"}).Draw(t, "before")
		after := rapid.SampledFrom([]string{"", "원", " 원", "\t", " KRW", "원정", "₩"}).Draw(t, "after")
		if got, code := ParseAmount(before + number + after); got != n || code != "" {
			t.Fatalf("ParseAmount(%q) = %d %s", before+number+after, got, code)
		}
		if got, code := ParseAmount(before + "(" + number + ")" + after); got != -n || code != AmountNegative {
			t.Fatalf("in brackets: %d %s", got, code)
		}
		if n >= 1_000_000 {
			if got, code := ParseAmount(grouped(n, ".")); got != n || code != "" {
				t.Fatalf("ParseAmount(%q) = %d %s", grouped(n, "."), got, code)
			}
		}
	})
}

func FuzzAmount(f *testing.F) {
	for _, seed := range []string{"1,234,000", "(55,000)", "₩1.234", "-", "1만원", "１２", "12.5", "1.234.000,00", "일금 35,000원정", "35,000.-", "3만5천원", "US$35", "35 usd", "₩35-"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		won, code := ParseAmount(text)
		if (code == "") != (won > 0) || won > MaxAmount {
			t.Fatalf("ParseAmount(%q) = %d %q", text, won, code)
		}
		if again, code := ParseAmount(fmt.Sprint(won)); won > 0 && (again != won || code != "") {
			t.Fatalf("%q is %d, which is %d %q", text, won, again, code)
		}
		if won > 0 && !strings.ContainsAny(plain(text), "123456789") {
			t.Fatalf("ParseAmount(%q) = %d out of nothing", text, won)
		}
		if (won > 0 || code == AmountZero) && foreign(plain(text)) {
			t.Fatalf("ParseAmount(%q) = %d %s, in another currency", text, won, code)
		}
	})
}
