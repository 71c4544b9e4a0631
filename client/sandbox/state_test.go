package sandbox

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"vbankbatch/client"
)

func TestStateSurvives(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	before, c, _ := start(t, Config{State: path, TestChannel: true})
	request := order("가/나")
	request.CustomData, request.Name, request.BuyerEmail = []byte(`{"a":"\u0000"}`), "물건 \U0001f600", "a@b"
	issue(t, c, request)
	if _, err := c.Update(t.Context(), string(issue(t, c, order("b")).ImpUID), client.UpdateRequest{Amount: 5}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Revoke(t.Context(), string(issue(t, c, order("c")).ImpUID), client.RevokeRequest{}); err != nil {
		t.Fatal(err)
	}
	if err := before.Pay(string(issue(t, c, order("d")).ImpUID)); err != nil {
		t.Fatal(err)
	}
	want := before.Payments() // no Close: a killed process has none either

	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, cut := range []string{"", `{"imp_uid":"imp_5","merch`, `{"imp_uid":"imp_5","status":"ready"}`} {
		if err := os.WriteFile(path, append(slices.Clone(whole), cut...), 0o600); err != nil {
			t.Fatal(err)
		}
		after, c, _ := start(t, Config{State: path})
		if got := after.Payments(); !slices.Equal(got, want) {
			t.Errorf("after %q: got %+v, want %+v", cut, got, want)
		}
		if left, err := os.ReadFile(path); err != nil || string(left) != string(whole) {
			t.Errorf("after %q: the file holds %s, %v", cut, left, err)
		}
		id := string(issue(t, c, order("e")).ImpUID)
		if slices.ContainsFunc(want, func(p Payment) bool { return p.ImpUID == id }) {
			t.Errorf("%s is given twice", id)
		}
		if third, _, _ := start(t, Config{State: path}); len(third.Payments()) != 5 {
			t.Errorf("after %q and one more: %d payments", cut, len(third.Payments()))
		}
	}
}

func TestStateDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	for _, text := range []string{"{}\n", "{\"imp_uid\":\"imp_1\"}\nnonsense\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := New(Config{State: path}); err == nil || !strings.Contains(err.Error(), "line") {
			t.Errorf("%q: got %v, %v", text, s, err)
		}
	}
	if _, err := New(Config{State: t.TempDir()}); err == nil {
		t.Error("a directory is taken for a state file")
	}
}

func TestStateNotWritable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	s, err := New(Config{State: path})
	if err != nil {
		t.Fatal(err)
	}
	s.journal.file.Close()
	if err := s.put(&Payment{ImpUID: "imp_1"}); err == nil || len(s.Payments()) != 0 {
		t.Errorf("kept what was not written: %v", err)
	}
}

// TestReplyComesAfterTheLine kills nothing but reads the file at the moment of the reply.
func TestReplyComesAfterTheLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	_, c, _ := start(t, Config{State: path, Clock: time.Now})
	for range 20 {
		request := order("a")
		request.VbankDue = time.Now().Add(time.Hour).Unix()
		p := issue(t, c, request)
		if text, err := os.ReadFile(path); err != nil || !strings.Contains(string(text), string(p.ImpUID)) {
			t.Fatalf("%s was answered before it was written: %v", p.ImpUID, err)
		}
	}
}
