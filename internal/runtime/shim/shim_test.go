package shim

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestTheStageIsNeverWhereTheMachinesFilesAre(t *testing.T) {
	stage, err := Stage("/var/lib/vitrine")
	if err != nil {
		t.Skip(err)
	}
	other, err := Stage(stage+"/data/vitrine", "/var/lib/vitrine")
	if err == nil && other == stage {
		t.Errorf("%s is mounted over, and the image lies in it", stage)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(stage, link); err != nil {
		t.Fatal(err)
	}
	if through, err := Stage(link); err == nil && through == stage {
		t.Errorf("%s is mounted over, and a path leads there by a symlink", stage)
	}
	if s, err := Stage(stages...); err == nil {
		t.Errorf("with all taken, %s was given", s)
	}
}

func TestAConsoleFloodIsSlowedAndNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := strings.Repeat("x", consoleBurst+3*consoleRate)
		var out bytes.Buffer
		began := time.Now()
		copyConsole(&out, io.MultiReader(strings.NewReader(in), strings.NewReader("the end")))
		if took := time.Since(began); took < 2900*time.Millisecond || took > 3100*time.Millisecond {
			t.Errorf("it took %s, want the burst at once and the rest at its rate: 3 s", took)
		}
		if out.Len() != len(in)+7 || !strings.HasSuffix(out.String(), "the end") {
			t.Errorf("%d of %d bytes came through", out.Len(), len(in)+7)
		}
	})
}
