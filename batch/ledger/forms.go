package ledger

import (
	"context"
	"database/sql"

	"vbankbatch/client/say"
)

// Form is how a file of some layout is read: a profile with a name.
type Form struct {
	Merchant string // name of the credentials
	Name     string
	Layout   string // digest of what files have in common that are read so
	Profile  string // JSON
	By       string
}

const formColumns = `merchant, name, layout, profile, saved_by`

func (f *Form) scan(rows *sql.Rows) error {
	return rows.Scan(&f.Merchant, &f.Name, &f.Layout, &f.Profile, &f.By)
}

func (j *Jobs) forms(ctx context.Context, condition string, values ...any) ([]Form, error) {
	return gather(ctx, j.db, (*Form).scan, `SELECT `+formColumns+` FROM forms WHERE merchant = $1 `+condition, values...)
}

// SaveForm saves a form in place of the merchant's form of that name.
func (j *Jobs) SaveForm(ctx context.Context, f *Form, d Deed) error {
	return j.doing(ctx, &d, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO forms (`+formColumns+`, saved_at) VALUES ($1, $2, $3, $4, $5, `+j.clock+`) ON CONFLICT (merchant, name) DO UPDATE SET
			layout = excluded.layout, profile = excluded.profile, saved_by = excluded.saved_by, saved_at = excluded.saved_at`,
			f.Merchant, clean(f.Name), clean(f.Layout), clean(f.Profile), clean(f.By))
		return err
	})
}

// Forms returns a merchant's forms by name.
func (j *Jobs) Forms(ctx context.Context, merchant string) ([]Form, error) {
	return j.forms(ctx, `ORDER BY name`, merchant)
}

// FormOf returns the merchant's form of a layout that was saved last, nil without one.
func (j *Jobs) FormOf(ctx context.Context, merchant, layout string) (*Form, error) {
	found, err := j.forms(ctx, `AND layout = $2 ORDER BY saved_at DESC, id DESC LIMIT 1`, merchant, clean(layout))
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

// ErrNoForm is returned for a form that there is not, or not any more.
var ErrNoForm = say.New("there is no such form")

// DropForm removes a form, if there is one of that name.
func (j *Jobs) DropForm(ctx context.Context, merchant, name string, d Deed) error {
	return j.doing(ctx, &d, func(tx *sql.Tx) error {
		n, err := changed(tx.ExecContext(ctx, `DELETE FROM forms WHERE merchant = $1 AND name = $2`, merchant, clean(name)))
		if err == nil && n == 0 {
			err = ErrNoForm
		}
		return err
	})
}
