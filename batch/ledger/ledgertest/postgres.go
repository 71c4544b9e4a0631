//go:build unix

// Package ledgertest starts PostgreSQL for tests, the real one, each in a folder of its own.
package ledgertest

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Postgres is a server that listens on a socket in its folder alone, and ends with the test.
type Postgres struct {
	dir, bin string
	as       *syscall.Credential
	server   *exec.Cmd
	ended    chan error
	names    atomic.Int64
	settings []string
}

// Start starts a server, with settings such as "fsync=off". Where there is none, the test is skipped, but never in CI.
func Start(t testing.TB, settings ...string) *Postgres {
	t.Helper()
	bin := installed()
	if bin == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("PostgreSQL is not installed")
		}
		t.Skip("PostgreSQL is not installed")
	}
	dir, err := os.MkdirTemp("/tmp", "vb-pg-") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	p := &Postgres{dir: dir, bin: bin, settings: settings}
	t.Cleanup(func() {
		p.Kill()
		os.RemoveAll(dir)
	})
	if os.Getuid() == 0 { // it refuses to run as root
		p.as = nobody(t)
		if err := os.Chown(dir, int(p.as.Uid), int(p.as.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	p.run(t, "initdb", "--pgdata", filepath.Join(dir, "data"), "--username", "postgres", "--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync")
	p.Serve(t)
	p.Psql(t, "postgres", "CREATE ROLE vbankbatch LOGIN")
	return p
}

// Serve is Start for the tests of a whole package; the caller stops it, and there must be one.
func Serve(settings ...string) (p *Postgres, stop func()) {
	t := new(process)
	p = Start(t, settings...)
	return p, func() {
		for _, end := range t.ends {
			end()
		}
	}
}

// process is a test of its own, whose failure ends the process.
type process struct {
	testing.TB
	ends []func()
}

func (p *process) Helper()            {}
func (p *process) Cleanup(end func()) { p.ends = append(p.ends, end) }
func (p *process) Fatal(args ...any) {
	fmt.Fprintln(os.Stderr, args...)
	os.Exit(1)
}
func (p *process) Fatalf(format string, args ...any) { p.Fatal(fmt.Sprintf(format, args...)) }
func (p *process) Skip(args ...any)                  { p.Fatal(args...) }

// installed is the folder of the newest server's programs.
func installed() string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if path, err := exec.LookPath("initdb"); err == nil {
		found = append([]string{path}, found...)
	}
	for _, path := range slices.Backward(found) {
		if _, err := os.Stat(filepath.Join(filepath.Dir(path), "pg_isready")); err == nil { // a link may stand alone
			return filepath.Dir(path)
		}
	}
	return ""
}

func nobody(t testing.TB) *syscall.Credential {
	for _, name := range []string{"postgres", "nobody"} {
		if found, err := user.Lookup(name); err == nil {
			uid, _ := strconv.ParseUint(found.Uid, 10, 32)
			gid, _ := strconv.ParseUint(found.Gid, 10, 32)
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		}
	}
	t.Skip("there is no user to run PostgreSQL as")
	return nil
}

func (p *Postgres) command(name string, args ...string) *exec.Cmd {
	command := exec.Command(filepath.Join(p.bin, name), args...)
	command.Dir = p.dir
	command.SysProcAttr = &syscall.SysProcAttr{Credential: p.as}
	return command
}

func (p *Postgres) run(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := p.command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// Serve starts the server again after Stop or Kill.
func (p *Postgres) Serve(t testing.TB) {
	t.Helper()
	args := []string{"-D", filepath.Join(p.dir, "data"), "-k", p.dir, "-c", "listen_addresses=", "-c", "max_connections=200"}
	for _, setting := range p.settings {
		args = append(args, "-c", setting)
	}
	p.server = p.command("postgres", args...)
	var log bytes.Buffer
	p.server.Stdout, p.server.Stderr = &log, &log
	if err := p.server.Start(); err != nil {
		t.Fatal(err)
	}
	p.ended = make(chan error, 1)
	go func(server *exec.Cmd, ended chan<- error) { ended <- server.Wait() }(p.server, p.ended)
	for range 600 {
		if p.command("pg_isready", "-q", "-h", p.dir, "-U", "postgres", "-d", "postgres").Run() == nil {
			return
		}
		select {
		case err := <-p.ended:
			t.Fatalf("PostgreSQL ended: %v\n%s", err, log.String())
		case <-time.After(50 * time.Millisecond):
		}
	}
	t.Fatalf("PostgreSQL does not answer\n%s", log.String())
}

// Stop ends the server as an administrator would, and cuts its connections.
func (p *Postgres) Stop() { p.end(syscall.SIGINT) }

// Kill ends the server as a power cut would, but for what the disk has of it.
func (p *Postgres) Kill() { p.end(syscall.SIGQUIT) }

func (p *Postgres) end(how syscall.Signal) {
	if p.server == nil {
		return
	}
	p.server.Process.Signal(how)
	<-p.ended
	p.server = nil
}

// Psql runs a statement in a database, as its administrator, and returns what it prints.
func (p *Postgres) Psql(t testing.TB, database, statement string) string {
	t.Helper()
	out, err := p.command("psql", "-h", p.dir, "-U", "postgres", "-d", database, "-XAtqc", statement).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", statement, err, out)
	}
	return string(bytes.TrimSpace(out))
}

// Socket is the folder of the server's socket, which clients name as the host.
func (p *Postgres) Socket() string { return p.dir }

// Database makes an empty database and returns its address.
func (p *Postgres) Database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("ledger%d", p.names.Add(1))
	p.Psql(t, "postgres", "CREATE DATABASE "+name+" OWNER vbankbatch")
	return p.Address(name)
}

// Address is that of a database of the server.
func (p *Postgres) Address(database string) string {
	return fmt.Sprintf("postgres://vbankbatch@/%s?host=%s", database, p.dir)
}

// Copy fills an empty database with a dump of another.
func (p *Postgres) Copy(t testing.TB, from, to string) {
	t.Helper()
	dump := filepath.Join(p.dir, from+".dump")
	p.run(t, "pg_dump", "-h", p.dir, "-U", "postgres", "-Fc", "-f", dump, from)
	p.run(t, "pg_restore", "-h", p.dir, "-U", "postgres", "-d", to, dump)
}

// Pool starts PgBouncer in transaction mode before the server, and returns the address of a database behind it.
func (p *Postgres) Pool(t testing.TB, program, address string) string {
	t.Helper()
	dir := filepath.Join(p.dir, "pool")
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf("[databases]\n* = host=%s\n[pgbouncer]\nlisten_addr=\nunix_socket_dir=%s\nauth_type=any\npool_mode=transaction\ndefault_pool_size=3\nmax_client_conn=200\nauth_file=/dev/null\n", p.dir, dir)
	config = strings.Replace(config, "* = host="+p.dir, "* = host="+p.dir+" user=vbankbatch", 1)
	file := filepath.Join(dir, "pool.ini")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	if p.as != nil {
		os.Chown(dir, int(p.as.Uid), int(p.as.Gid))
	}
	command := exec.Command(program, "-q", file)
	command.SysProcAttr = &syscall.SysProcAttr{Credential: p.as}
	var log bytes.Buffer
	command.Stdout, command.Stderr = &log, &log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		command.Process.Kill()
		command.Wait()
	})
	for range 200 {
		if conn, err := net.Dial("unix", filepath.Join(dir, ".s.PGSQL.6432")); err == nil { // the file is there before anybody answers
			conn.Close()
			return strings.Replace(address, p.dir, dir+"&port=6432", 1)
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("PgBouncer does not answer\n%s", log.String())
	return ""
}
