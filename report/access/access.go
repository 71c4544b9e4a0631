// Package access says who gets in to the pages, and what they may do there.
//
// [New] makes the [Gate], whose Handler stands around the pages. It lets in whoever opens a one-time link, or whom an OIDC
// issuer names, or whom a proxy names that is trusted; a page asks [From] who that is, and [Person.May] for every act.
//
// It promises that a page is called for nobody else, under no other host's name, and for no state change that another site
// asks for. It does not judge what a page does: pages change nothing by GET, and ask May for the merchant at hand.
package access

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/text/language"

	"vbankbatch/client"
	"vbankbatch/client/say"
)

// Role is what a person may do.
type Role string

// The roles. Uploader and Approver may look at what a Viewer may; neither of the two may what the other may.
const (
	Viewer   Role = "viewer"
	Uploader Role = "uploader"
	Approver Role = "approver"
)

// Person is one who has signed in.
type Person struct {
	Name   string // as the audit trail tells it
	Grants []Grant
}

// Grant is a role for merchants.
type Grant struct {
	Role      Role
	Merchants []string // nil: all; "" is the one of IMP_KEY
}

func (g Grant) covers(merchant string) bool {
	return g.Merchants == nil || slices.Contains(g.Merchants, merchant)
}

// May reports whether the person has the role for the merchant. Every role lets its holder look.
func (p *Person) May(role Role, merchant string) bool {
	return slices.ContainsFunc(p.Grants, func(g Grant) bool { return (g.Role == role || role == Viewer) && g.covers(merchant) })
}

// Merchants returns those of all that the person may look at.
func (p *Person) Merchants(all []string) []string {
	var seen []string
	for _, merchant := range all {
		if p.May(Viewer, merchant) {
			seen = append(seen, merchant)
		}
	}
	return seen
}

// Rule gives a role to a group or a person.
type Rule struct {
	Who string // a group, or a person's name; "*" is everybody who has signed in
	Grant
}

// ParseRule reads GROUP=ROLE, GROUP=ROLE+ROLE or either with @MERCHANT,MERCHANT behind it: a rule for each role. The
// merchant of IMP_KEY is called default.
func ParseRule(text string) ([]Rule, error) {
	last := strings.LastIndex(text, "=") // a group may be named cn=bosses,ou=groups
	if last < 0 || strings.TrimSpace(text[:last]) == "" {
		return nil, say.Errorf("%q is not a rule, such as accounting=uploader or bosses=uploader+approver@seoul,busan", text)
	}
	who := strings.TrimSpace(text[:last])
	roles, names, limited := strings.Cut(strings.TrimSpace(text[last+1:]), "@")
	var merchants []string
	if limited {
		for name := range strings.SplitSeq(names, ",") {
			if !client.MerchantName.MatchString(name) {
				return nil, say.Errorf("%q: %q is not a merchant's name (small letters, digits and hyphens)", text, name)
			}
			if name == "default" {
				name = ""
			}
			merchants = append(merchants, name)
		}
	}
	var rules []Rule
	for role := range strings.SplitSeq(roles, "+") {
		switch Role(role) {
		case Viewer, Uploader, Approver:
			rules = append(rules, Rule{who, Grant{Role(role), merchants}})
		default:
			return nil, say.Errorf("%q: %q is not a role; they are viewer, uploader and approver", text, role)
		}
	}
	return rules, nil
}

// grants are those of a person. Where groups are told too, a name without an @ counts for no rule: whoever may choose a
// name could choose a group's.
func grants(rules []Rule, name string, groups []string, grouped bool) []Grant {
	var given []Grant
	for _, rule := range rules {
		named := rule.Who == name && (!grouped || strings.Contains(name, "@"))
		if rule.Who == "*" || named || slices.Contains(groups, rule.Who) {
			given = append(given, rule.Grant)
		}
	}
	return given
}

type personKey struct{}

// From returns the person that a page is called for; nobody, who may do nothing, where none is needed.
func From(ctx context.Context) *Person {
	if person, ok := ctx.Value(personKey{}).(*Person); ok {
		return person
	}
	return new(Person)
}

// Language is that of the request's browser: Korean if it is the first of the two that the browser asks for.
func Language(r *http.Request) say.Language {
	tags, _, _ := language.ParseAcceptLanguage(r.Header.Get("Accept-Language")) // what cannot be read asks for none
	for _, tag := range tags {
		switch base, _ := tag.Base(); say.Language(base.String()) {
		case say.Korean:
			return say.Korean
		case say.English:
			return say.English
		}
	}
	return say.English
}
