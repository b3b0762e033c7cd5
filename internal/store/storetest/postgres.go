package storetest

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Cluster is a PostgreSQL to test on.
type Cluster struct{ base string }

// Postgres gives a PostgreSQL: the one that VITRINE_TEST_POSTGRES names, or a
// throw-away cluster from Debian's package (initdb and postgres of
// /usr/lib/postgresql, a unix socket in a temporary directory, no TCP) that is
// gone when the test ends. Where neither is there it skips and says so; with
// VITRINE_REQUIRE_POSTGRES=1 it fails instead.
func Postgres(t *testing.T) *Cluster {
	t.Helper()
	if dsn := os.Getenv("VITRINE_TEST_POSTGRES"); dsn != "" {
		return &Cluster{base: dsn}
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if len(found) == 0 {
		const why = "PostgreSQL NOT TESTED: no /usr/lib/postgresql/*/bin/postgres; apt-get install postgresql, or set VITRINE_TEST_POSTGRES"
		if os.Getenv("VITRINE_REQUIRE_POSTGRES") == "1" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	return startCluster(t, filepath.Dir(found[len(found)-1]))
}

func startCluster(t *testing.T, bin string) *Cluster {
	t.Helper()
	// Not t.TempDir: postgres, another user, must get through, and the path of a
	// unix socket has 107 bytes.
	dir, err := os.MkdirTemp("", "vt-pg-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	attr := &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT}
	if os.Geteuid() == 0 { // PostgreSQL refuses to run as root
		u, err := user.Lookup("postgres")
		if err != nil {
			t.Fatalf("running PostgreSQL needs its user: %v", err)
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(dir, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	command := func(name string, args ...string) *exec.Cmd {
		c := exec.Command(filepath.Join(bin, name), args...)
		c.Dir, c.SysProcAttr = dir, attr
		c.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"}
		return c
	}
	data := filepath.Join(dir, "data")
	if out, err := command("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync").CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	log := new(strings.Builder)
	server := command("postgres", "-D", data, "-k", dir, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=200")
	server.Stdout, server.Stderr = log, log
	if err := server.Start(); err != nil {
		t.Fatalf("postgres: %v", err)
	}
	gone := make(chan struct{})
	go func() { _ = server.Wait(); close(gone) }()
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGQUIT) // at once: nothing in it is worth a checkpoint
		select {
		case <-gone:
		case <-time.After(10 * time.Second):
			_ = server.Process.Kill()
			<-gone
		}
	})
	c := &Cluster{base: (&url.URL{Scheme: "postgres", User: url.User("postgres"), Path: "/postgres", RawQuery: "host=" + url.QueryEscape(dir)}).String()}
	deadline := time.After(30 * time.Second)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		conn, err := pgx.Connect(ctx, c.base)
		if err == nil {
			_ = conn.Close(ctx)
		}
		cancel()
		if err == nil {
			return c
		}
		select {
		case <-gone:
			t.Fatalf("postgres left: %s", log)
		case <-deadline:
			t.Fatalf("postgres did not answer within 30 s: %v", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// DSN makes an empty schema for one test and gives the DSN that works in it; it
// is dropped when the test ends.
func (c *Cluster) DSN(t *testing.T) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), c.base)
	if err != nil {
		t.Fatalf("connecting to PostgreSQL: %v", err)
	}
	schema := "vt_" + strings.ToLower(rand.Text())
	if _, err := conn.Exec(t.Context(), `CREATE SCHEMA `+schema); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_, _ = conn.Exec(ctx, fmt.Sprintf(`DROP SCHEMA %s CASCADE`, schema))
		_ = conn.Close(ctx)
	})
	u, err := url.Parse(c.base)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("search_path", schema)
	u.RawQuery = q.Encode()
	return u.String()
}
