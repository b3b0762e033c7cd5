package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func sources(t *testing.T, env []string, dotenv string, args ...string) configSources {
	t.Helper()
	dir := t.TempDir()
	local := filepath.Join(dir, ".env")
	if dotenv != "" {
		if err := os.WriteFile(local, []byte(dotenv), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	flags := pflag.NewFlagSet("t", pflag.ContinueOnError)
	addSettingFlags(flags)
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return configSources{localFile: local, environ: env, flags: flags}
}

func TestFlagsBeatEnvironmentBeatsFileBeatsDefault(t *testing.T) {
	s, values, err := loadConfig(sources(t, []string{"VITRINE_MEDIA_PORT=5001", "BROWSER_VM_VCPU=3"},
		"BROWSER_VM_VCPU=4\nCLI_VM_VCPU=5\nVITRINE_MEDIA_PORT=5002\n", "--media-port=5003"))
	if err != nil {
		t.Fatal(err)
	}
	if s.MediaPort != 5003 || s.BrowserVCPU != 3 || s.CLIVCPU != 5 || s.TURNPort != 3478 {
		t.Fatalf("got %+v", s)
	}
	from := map[string]string{}
	for _, v := range values {
		from[v.name] = v.source
	}
	if from["VITRINE_MEDIA_PORT"] != "flag --media-port" || from["BROWSER_VM_VCPU"] != "environment" ||
		!strings.HasSuffix(from["CLI_VM_VCPU"], ".env") || from["VITRINE_TURN_PORT"] != "default" {
		t.Fatalf("sources: %v", from)
	}
}

func TestBadSettingsStopTheStart(t *testing.T) {
	for name, c := range map[string]struct {
		env    string
		dotenv string
		want   []string
	}{
		"a mistyped name":        {env: "VITRINE_MEDIAPORT=1", want: []string{"VITRINE_MEDIAPORT", "not a setting"}},
		"a word for a number":    {env: "BROWSER_VM_VCPU=two", want: []string{"BROWSER_VM_VCPU", `"two"`, "whole number"}},
		"a port out of range":    {env: "VITRINE_MEDIA_PORT=70000", want: []string{"VITRINE_MEDIA_PORT", "out of range"}},
		"an unknown runtime":     {env: "VITRINE_RUNTIME=docker", want: []string{"VITRINE_RUNTIME", `"docker"`}},
		"a public subnet":        {env: "VITRINE_SUBNET=8.8.8.0/24", want: []string{"VITRINE_SUBNET", "private"}},
		"a relative directory":   {env: "VITRINE_DATA_DIR=data", want: []string{"VITRINE_DATA_DIR", "relative"}},
		"a listen without port":  {env: "VITRINE_LISTEN=localhost", want: []string{"VITRINE_LISTEN", "no port"}},
		"a short admin key":      {env: "VITRINE_ADMIN_KEY=hunter2", want: []string{"VITRINE_ADMIN_KEY", "not shown", "7 characters"}},
		"a broken .env":          {dotenv: "VITRINE_LISTEN\x00 = ???\n'", want: []string{".env", "NAME=VALUE"}},
		"an unknown name in it":  {dotenv: "VITRINE_PORT=4000\n", want: []string{"VITRINE_PORT", "file"}},
		"a window of no length":  {env: "RATE_LIMIT_WINDOW_MS=0", want: []string{"RATE_LIMIT_WINDOW_MS"}},
		"a bridge name too long": {env: "VITRINE_BRIDGE=averyverylongname", want: []string{"VITRINE_BRIDGE", "17 characters"}},
	} {
		t.Run(name, func(t *testing.T) {
			var env []string
			if c.env != "" {
				env = append(env, c.env)
			}
			_, _, err := loadConfig(sources(t, env, c.dotenv))
			if err == nil {
				t.Fatal("accepted")
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q is not in %q", w, err)
				}
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Error("the secret is in the error")
			}
		})
	}
}

func TestAllProblemsAreToldAtOnce(t *testing.T) {
	_, _, err := loadConfig(sources(t, []string{"BROWSER_VM_VCPU=0", "CLI_VM_VCPU=99"}, ""))
	if len(unjoin(err)) != 2 {
		t.Fatalf("got %v", err)
	}
}
