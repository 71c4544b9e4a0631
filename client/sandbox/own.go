package sandbox

import (
	"encoding/json"
	"net/http"
)

func (s *Sandbox) serveAccounts(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	b := []byte{'['}
	for i, p := range s.snapshot() {
		if i > 0 {
			b = append(b, ",\n"...)
		}
		o := object{buf: b}
		o.text("merchant_uid", p.MerchantUID)
		o.text("imp_uid", p.ImpUID)
		o.text("status", p.Status)
		o.number("amount", p.Amount)
		o.text("vbank_num", p.VbankNum)
		o.number("vbank_due", p.VbankDate)
		if b = o.end(); len(b) > 1<<15 {
			if _, err := w.Write(b); err != nil {
				return
			}
			b = b[:0]
		}
	}
	w.Write(append(b, "]\n"...))
}

func (s *Sandbox) serveRequests(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(s.Requests())
}

func (s *Sandbox) serveReplies(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(s.Replies())
}

func (s *Sandbox) servePay(w http.ResponseWriter, r *http.Request) {
	if err := s.Pay(r.PathValue("imp_uid")); err != nil {
		failure(err).send(w)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
