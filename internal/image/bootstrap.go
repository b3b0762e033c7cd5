package image

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// bootstrapper fetches and installs a recipe's packages into a directory.
type bootstrapper struct {
	recipe  Recipe
	recipes fs.FS
	work    string // a directory of this build's own
	root    string // the tree to make
	report  func(Progress)

	tail     []string          // the last lines of output, redacted
	packages []vitrine.Package // seen being fetched
}

// buildPath is where a build's programs look for others.
const buildPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// programs are what a build runs, and the Debian package each is in.
var programs = []struct{ name, pkg string }{{"mmdebstrap", "mmdebstrap"}, {"unshare", "util-linux"}, {"mksquashfs", "squashfs-tools"}}

// checkHost says what is missing for a build, before anything is made.
func checkHost() error {
	if os.Geteuid() != 0 {
		return vitrine.Errorf(vitrine.ClassForbidden, "not_root", "an image can only be built by root: its files belong to several users").
			WithRemedy("run it with sudo")
	}
	for _, p := range programs {
		if _, err := exec.LookPath(p.name); err != nil {
			return vitrine.Errorf(vitrine.ClassUnavailable, "builder_missing", "the program %s, which builds images, is not installed", p.name).
				WithRemedy("apt-get install %s", p.pkg).WithCause(err)
		}
	}
	return nil
}

// run runs mmdebstrap to its end. Killing us kills it, and all it started: it
// is the first process of a PID namespace whose parent dies with our thread.
func (b *bootstrapper) run(ctx context.Context) error {
	args, err := b.prepare()
	if err != nil {
		return err
	}
	dog := &watchdog{recipe: b.recipe, dir: b.work}
	ctx, stop := dog.watch(ctx)
	defer stop()
	cmd := exec.CommandContext(ctx, "unshare", append([]string{"--fork", "--pid", "--mount", "--kill-child", "mmdebstrap"}, args...)...)
	cmd.Env = b.environment()
	cmd.Dir = b.work
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	cmd.WaitDelay = 5 * time.Second
	read, write := io.Pipe()
	cmd.Stdout, cmd.Stderr = write, write
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.follow(read, dog.hear)
	}()
	// Pdeathsig is about the thread that forked, so that thread must stay.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err = cmd.Run()
	write.Close()
	<-done
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return b.explain(err)
	}
	return nil
}

// environment is what mmdebstrap and the hooks see: no more than fetching
// needs, so that a build does not depend on who starts it.
func (b *bootstrapper) environment() []string {
	env := []string{
		"PATH=" + buildPath,
		"HOME=/root", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive",
		"TMPDIR=" + b.work,
		fmt.Sprintf("SOURCE_DATE_EPOCH=%d", b.recipe.SourceDateEpoch),
	}
	for _, name := range []string{"http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"} {
		if v := os.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// prepare writes what mmdebstrap reads and gives its arguments. Addresses and
// options go into files, not arguments: they may hold a proxy's password.
func (b *bootstrapper) prepare() ([]string, error) {
	overlay, hook, err := b.unpackRecipe()
	if err != nil {
		return nil, fmt.Errorf("unpack recipe %s: %w", b.recipe.Name, err)
	}
	sources := ""
	for _, s := range buildSources("/etc/apt", debianKeyring, b.recipe.Suite) {
		sources += s.String() + "\n"
	}
	dpkg := ""
	for _, g := range b.recipe.Exclude {
		dpkg += "path-exclude=" + g + "\n"
	}
	for _, g := range b.recipe.Include {
		dpkg += "path-include=" + g + "\n"
	}
	files := map[string]string{"sources.list": sources, "apt.conf": aptOptions(), "dpkg.cfg": dpkg}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(b.work, name), []byte(text), 0o600); err != nil {
			return nil, fmt.Errorf("write %s: %w", name, err)
		}
	}
	// The variant extract ends before mmdebstrap's customize stage.
	stage := "--customize-hook="
	if b.recipe.Variant == "extract" {
		stage = "--extract-hook="
	}
	args := []string{
		"--verbose", "--mode=root", "--format=directory",
		"--variant=" + b.recipe.Variant,
		"--include=" + strings.Join(b.recipe.Packages, ","),
		"--aptopt=" + filepath.Join(b.work, "apt.conf"),
		"--dpkgopt=" + filepath.Join(b.work, "dpkg.cfg"),
	}
	if overlay != "" {
		args = append(args, stage+"sync-in "+overlay+" /")
	}
	if hook != "" {
		args = append(args, stage+"sh "+hook+` "$1"`)
	}
	return append(args, b.recipe.Suite, b.root, filepath.Join(b.work, "sources.list")), nil
}

// unpackRecipe writes the recipe's overlay and hook to disk and gives their
// paths, "" for one that the recipe does not have.
func (b *bootstrapper) unpackRecipe() (overlay, hook string, err error) {
	name := b.recipe.Name
	if text, err := fs.ReadFile(b.recipes, path.Join(name, "hooks/customize.sh")); err == nil {
		hook = filepath.Join(b.work, "customize.sh")
		if err := os.WriteFile(hook, text, 0o600); err != nil {
			return "", "", err
		}
	}
	from := path.Join(name, "files")
	if _, err := fs.Stat(b.recipes, from); err != nil {
		return "", hook, nil
	}
	overlay = filepath.Join(b.work, "overlay")
	err = fs.WalkDir(b.recipes, from, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(overlay, strings.TrimPrefix(p, from))
		if d.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		text, err := fs.ReadFile(b.recipes, p)
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o644)
		if bytes.HasPrefix(text, []byte("#!")) {
			mode = 0o755
		}
		if err := os.WriteFile(to, text, mode); err != nil {
			return err
		}
		return os.Chmod(to, mode) // whatever our umask is
	})
	return overlay, hook, err
}

// follow reads mmdebstrap's output: progress, the last lines, the packages.
func (b *bootstrapper) follow(r io.Reader, heard func()) {
	p := bootstrapParser{report: b.report, high: endPreparing}
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		heard()
		line := redact(strings.TrimRight(sc.Text(), "\r "))
		if line == "" {
			continue
		}
		p.line(line)
		if name, version, ok := fetched(line); ok {
			b.packages = append(b.packages, vitrine.Package{Name: name, Version: version, Arch: debianArch()})
		}
		if len(b.tail) == vitrine.MaxEvidence {
			b.tail = slices.Delete(b.tail, 0, 1)
		}
		b.tail = append(b.tail, line)
	}
	_, _ = io.Copy(io.Discard, r) // a line over a mebibyte: never block the writer
}

func debianArch() string {
	if runtime.GOARCH == "386" {
		return "i386"
	}
	return runtime.GOARCH // amd64 and arm64 are called so by both
}

// explain turns a failed mmdebstrap into one error with a remedy.
func (b *bootstrapper) explain(err error) error {
	all := strings.Join(b.tail, "\n")
	has := func(signs ...string) bool {
		return slices.ContainsFunc(signs, func(s string) bool { return strings.Contains(all, s) })
	}
	cause := fmt.Errorf("mmdebstrap: %w; its last lines:\n%s", err, all)
	switch {
	case has("No space left on device", "not have enough free space"):
		return diskFull(b.work, b.recipe.Name, int64(b.recipe.BuildSpaceMB)).WithCause(cause)
	case has("Temporary failure resolving", "Could not connect", "Could not resolve", "Network is unreachable", "Connection timed out", "Failed to fetch"):
		return vitrine.Errorf(vitrine.ClassUnavailable, "mirror_unreachable", "the packages of image %s could not be fetched from the Debian mirror", b.recipe.Name).
			WithRemedy("check that `apt-get update` works on this host, then build again").WithCause(cause)
	case has("Unable to locate package"):
		return vitrine.Errorf(vitrine.ClassInvalid, "recipe_invalid", "a package of recipe %s is not in Debian %s", b.recipe.Name, b.recipe.Suite).
			WithRemedy("mend images/%s/recipe.yaml", b.recipe.Name).WithCause(cause)
	}
	return vitrine.Errorf(vitrine.ClassFailed, "image_build_failed", "mmdebstrap could not build image %s (%v)", b.recipe.Name, err).
		WithRemedy("the lines above say what failed; `vitrine image build %s` starts afresh", b.recipe.Name).WithCause(cause)
}
