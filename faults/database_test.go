package faults

import (
	"database/sql"
	"path/filepath"

	_ "modernc.org/sqlite" // the daemon's own driver
)

// database opens the daemon's, which must not run.
func (w *world) database() *sql.DB {
	w.t.Helper()
	return openDatabase(w, filepath.Join(w.data(), "vitrine.db"))
}

func openDatabase(w *world, path string) *sql.DB {
	w.t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		w.t.Fatal(err)
	}
	return db
}
