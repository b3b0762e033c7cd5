package store

import (
	"context"
	"database/sql"
	"embed"
	"io/fs"
	"strconv"
	"strings"

	"github.com/pressly/goose/v3"

	"github.com/vitrine-dev/vitrine"
)

//go:embed migration
var migrations embed.FS

// dialect is all in which the two databases differ for us.
type dialect struct {
	name       string
	goose      goose.Dialect
	numbered   bool   // placeholders are $1, $2, … and not ?
	forUpdate  string // appended to a SELECT whose row is about to be changed
	admission  string // run first by a create: creates go one after the other
	beforeLog  string // run before an event is written: ids then grow in the order of commits
	repeatable func(error) bool
	diskFull   func(error) bool
	locked     func(error) bool
}

// rebind turns the ? of our SQL text into the dialect's placeholders. No text of
// ours holds a ? for any other purpose.
func (d *dialect) rebind(q string) string {
	if !d.numbered {
		return q
	}
	var b strings.Builder
	b.Grow(len(q) + 16)
	n := 0
	for {
		head, tail, found := strings.Cut(q, "?")
		b.WriteString(head)
		if !found {
			return b.String()
		}
		n++
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(n))
		q = tail
	}
}

// migrate brings the schema up to date, and refuses one that a newer Vitrine
// made: running on it could destroy what we do not know.
func (d *dialect) migrate(ctx context.Context, db *sql.DB) error {
	dir, err := fs.Sub(migrations, "migration/"+d.name)
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(d.goose, db, dir, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	have, err := p.GetDBVersion(ctx)
	if err != nil {
		return err
	}
	sources := p.ListSources()
	if know := sources[len(sources)-1].Version; have > know {
		return vitrine.Errorf(vitrine.ClassUnavailable, "database_newer",
			"the database has schema version %d and this Vitrine knows versions up to %d", have, know).
			WithRemedy("run the newer Vitrine that made it, or restore the backup from before the upgrade")
	}
	_, err = p.Up(ctx)
	return err
}
