package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/joho/godotenv"
	"github.com/spf13/pflag"

	"github.com/vitrine-dev/vitrine"
)

// value is one setting in force and where it came from.
type value struct {
	setting
	text   string
	source string // "default", "environment", "flag --listen", or a file's path
}

// configSources is where settings may come from, weakest first.
type configSources struct {
	systemFile string   // /etc/vitrine/vitrine.env
	localFile  string   // .env in the working directory
	environ    []string // KEY=VALUE
	flags      *pflag.FlagSet
}

func defaultSources(flags *pflag.FlagSet) configSources {
	return configSources{systemFile: "/etc/vitrine/vitrine.env", localFile: ".env", environ: os.Environ(), flags: flags}
}

// addSettingFlags puts a flag for every setting on a command.
func addSettingFlags(flags *pflag.FlagSet) {
	for _, d := range definitions {
		flags.String(d.flag(), "", fmt.Sprintf("%s (%s, default %q)", d.help, d.name, d.def))
	}
}

// loadConfig reads every source, strongest last, checks each value, and reports
// all that is wrong at once: a person should not have to fix one line a start.
func loadConfig(src configSources) (settings, []value, error) {
	inForce := make(map[string]value, len(definitions))
	for _, d := range definitions {
		inForce[d.name] = value{d, d.def, "default"}
	}
	var problems []error
	take := func(name, text, source string) {
		d, ok := findSetting(name)
		if !ok {
			if strings.HasPrefix(name, "VITRINE_") && !isElsewhere(name) {
				problems = append(problems, unknownSetting(name, source))
			}
			return
		}
		inForce[name] = value{d, text, source}
	}
	for _, file := range []string{src.systemFile, src.localFile} {
		pairs, err := readEnvFile(file)
		if err != nil {
			problems = append(problems, err)
		}
		for name, text := range pairs {
			take(name, text, file)
		}
	}
	for _, kv := range src.environ {
		if name, text, ok := strings.Cut(kv, "="); ok {
			take(name, text, "environment")
		}
	}
	if src.flags != nil {
		// Changed, not Visit: the flags may have been parsed as part of a larger set.
		src.flags.VisitAll(func(f *pflag.Flag) {
			for _, d := range definitions {
				if f.Changed && d.flag() == f.Name {
					take(d.name, f.Value.String(), "flag --"+f.Name)
				}
			}
		})
	}

	var s settings
	values := make([]value, 0, len(definitions))
	for _, d := range definitions {
		v := inForce[d.name]
		if err := d.set(&s, v.text); err != nil {
			problems = append(problems, badSetting(v, err))
		}
		values = append(values, v)
	}
	if low, stop := inForce["VITRINE_DISK_LOW_MB"], s.DiskStopMB; s.DiskLowMB < stop {
		problems = append(problems, badSetting(low, fmt.Errorf("sessions would be ended at %d, before new ones are refused", stop)))
	}
	if len(problems) > 0 {
		return settings{}, values, errors.Join(problems...)
	}
	s.derive()
	s.inForce = values
	return s, values, nil
}

// derive fills what follows from other settings.
func (s *settings) derive() {
	if s.ImageDir == "" {
		s.ImageDir = filepath.Join(s.CacheDir, "images")
	}
	if s.DatabaseURL == "" {
		s.DatabaseURL = filepath.Join(s.DataDir, "vitrine.db")
	}
	if s.Runsc == "" {
		s.Runsc = s.cached("runsc")
	}
	if s.Firecracker == "" {
		s.Firecracker = s.cached("firecracker")
	}
	if s.Jailer == "" {
		s.Jailer = "jailer"
		beside := filepath.Join(filepath.Dir(s.Firecracker), "jailer")
		if _, err := os.Stat(beside); err == nil && filepath.IsAbs(beside) {
			s.Jailer = beside
		}
	}
	if s.QEMU == "" {
		s.QEMU = "qemu-system-x86_64"
	}
}

// packaged is where the Debian package puts programs that are not for PATH.
const packaged = "/usr/lib/vitrine"

// cached is a program in the cache directory when it is there, or the package's,
// else its name, to be looked up on PATH.
func (s *settings) cached(name string) string {
	for _, path := range []string{filepath.Join(s.CacheDir, "bin", name), filepath.Join(packaged, name)} {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return name
}

func unknownSetting(name, source string) error {
	e := vitrine.Errorf(vitrine.ClassInvalid, "unknown_setting", "%s (from the %s) is not a setting", name, describe(source))
	return e.WithRemedy("did you mean %s? `vitrine serve --help` lists all", nearest(name))
}

func badSetting(v value, why error) error {
	shown := fmt.Sprintf("%q", v.text)
	if v.secret {
		shown = "(not shown)"
	}
	e := vitrine.Errorf(vitrine.ClassInvalid, "bad_setting", "%s is %s (from the %s): %v", v.name, shown, describe(v.source), why)
	return e.WithRemedy("allowed: %s", v.allowed)
}

func describe(source string) string {
	if strings.Contains(source, "/") || strings.HasPrefix(source, ".") {
		return "file " + source
	}
	return source
}

func readEnvFile(path string) (map[string]string, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, vitrine.Errorf(vitrine.ClassInvalid, "env_file_unreadable", "%s cannot be read", path).
			WithRemedy("make it readable for this user, or remove it").WithCause(err)
	}
	defer f.Close()
	pairs, err := godotenv.Parse(f)
	if err != nil {
		// The parser's own message quotes the line, which may hold a secret.
		return nil, vitrine.Errorf(vitrine.ClassInvalid, "env_file_broken", "%s is not a list of NAME=VALUE lines", path).
			WithRemedy("write one NAME=VALUE a line, values with spaces in quotes, comments after #")
	}
	return pairs, nil
}
