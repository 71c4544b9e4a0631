package pg

import "strings"

// Listing says where a PG is named for an action; 0 is nowhere.
type Listing uint8

// The sources. The documents know issue and update alone.
const (
	ByDocuments Listing = 1 << iota // the documents "Request" and "Update virtual account API" of 2022
	BySchema                        // the vendor's schema of 2026
	Denied                          // that schema says that the PG cannot
)

// String is the listing in words: "documents, today's schema".
func (l Listing) String() string {
	var words []string
	for i, word := range []string{"documents", "today's schema", "not by today's schema"} {
		if l>>i&1 != 0 {
			words = append(words, word)
		}
	}
	if words == nil {
		return "not listed"
	}
	return strings.Join(words, ", ")
}

// Support tells where the PG of a pg value is listed for an action. With [PGs] it makes a table of all of them.
func Support(value string, action Action) Listing {
	if g := find(value); g != nil {
		return g.listing(action)
	}
	return 0
}

func (g *gateway) listing(action Action) Listing {
	switch action {
	case Issue:
		return g.issue
	case Update:
		return g.update
	case Revoke:
		return g.revoke
	}
	return 0
}
