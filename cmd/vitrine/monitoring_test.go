package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/VictoriaMetrics/metricsql"
	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v3"
)

// question is one PromQL expression of the files in monitoring/.
type question struct{ where, expr string }

// registered is every metric of a daemon with its labels, whether it has a value
// yet or not: as the parts that a start wires have registered them.
func registered(t *testing.T) map[string][]string {
	t.Helper()
	ports, err := freePorts(3)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	set, _, err := loadConfig(configSources{environ: []string{
		"VITRINE_DATA_DIR=" + filepath.Join(dir, "data"), "VITRINE_CACHE_DIR=" + filepath.Join(dir, "cache"),
		fmt.Sprintf("VITRINE_LISTEN=127.0.0.1:%d", ports[0]), fmt.Sprintf("VITRINE_MEDIA_PORT=%d", ports[1]), fmt.Sprintf("VITRINE_TURN_PORT=%d", ports[2]),
		"VITRINE_SSH_PORT=0", "VITRINE_DEV=true", "VITRINE_RUNTIME=process", "VITRINE_BRIDGE=vtmon0",
	}})
	if err != nil {
		t.Fatal(err)
	}
	a, err := newApp(t.Context(), set, newLogger(set, os.Stderr))
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	descs := make(chan *prometheus.Desc)
	go func() { a.metrics.Describe(descs); close(descs) }()
	form := regexp.MustCompile(`(?s)^Desc\{fqName: "([^"]+)".*constLabels: \{(.*)\}, variableLabels: \{(.*)\}\}$`)
	constant := regexp.MustCompile(`(\w+)="`)
	out := map[string][]string{}
	for d := range descs {
		m := form.FindStringSubmatch(d.String())
		if m == nil {
			t.Fatalf("a metric describes itself as %s", d)
		}
		labels := []string{"job", "instance"} // which Prometheus itself puts on
		for _, c := range constant.FindAllStringSubmatch(m[2], -1) {
			labels = append(labels, c[1])
		}
		labels = append(labels, strings.FieldsFunc(m[3], func(r rune) bool { return r == ',' || r == ' ' })...)
		out[m[1]] = append(out[m[1]], labels...)
		if strings.HasSuffix(m[1], "_seconds") {
			for _, part := range []string{"_bucket", "_sum", "_count"} {
				out[m[1]+part] = append(labels, "le")
			}
		}
	}
	out["up"] = []string{"job", "instance"} // made by Prometheus for each target
	return out
}

// functions are those of PromQL that the files may use. The parser below is of
// MetricsQL, which is PromQL and more; the more is kept out by this list, and by
// wanting a window wherever PromQL wants one.
var functions = map[string]bool{"rate": true, "increase": true, "changes": true, "histogram_quantile": false, "time": false}

// ask holds one expression to the metrics that there are.
func ask(t *testing.T, q question, have map[string][]string) {
	t.Helper()
	q.expr = strings.ReplaceAll(q.expr, "$instance", "host")
	e, err := metricsql.Parse(q.expr)
	if err != nil {
		t.Errorf("%s: %s\nis no PromQL: %v", q.where, q.expr, err)
		return
	}
	var known, wanted []string
	names := 0
	metricsql.VisitAll(e, func(e metricsql.Expr) {
		switch x := e.(type) {
		case *metricsql.MetricExpr:
			for _, filters := range x.LabelFilterss {
				name := ""
				for _, f := range filters {
					if f.Label == "__name__" {
						name = f.Value
					}
				}
				labels, ok := have[name]
				if !ok {
					t.Errorf("%s: the daemon has no metric %q", q.where, name)
				}
				names++
				known = append(known, labels...)
				for _, f := range filters {
					if f.Label != "__name__" && !slices.Contains(labels, f.Label) {
						t.Errorf("%s: %s has no label %q", q.where, name, f.Label)
					}
				}
			}
		case *metricsql.FuncExpr:
			windowed, ok := functions[x.Name]
			if !ok {
				t.Errorf("%s: %s is not on the list of functions", q.where, x.Name)
			}
			if r, is := firstArg(x).(*metricsql.RollupExpr); windowed && (!is || r.Window == nil) {
				t.Errorf("%s: %s wants a window such as [5m]", q.where, x.Name)
			}
		case *metricsql.AggrFuncExpr:
			wanted = append(wanted, x.Modifier.Args...)
		case *metricsql.BinaryOpExpr:
			wanted = append(wanted, x.GroupModifier.Args...)
		}
	})
	if names == 0 {
		t.Errorf("%s: %s asks for no metric", q.where, q.expr)
	}
	for _, label := range wanted {
		if !slices.Contains(known, label) {
			t.Errorf("%s: no metric in %s has the label %q", q.where, q.expr, label)
		}
	}
}

func firstArg(x *metricsql.FuncExpr) metricsql.Expr {
	if len(x.Args) == 0 {
		return nil
	}
	return x.Args[0]
}

// ruleFile is Prometheus's form of alert rules, as far as we use it.
type ruleFile struct {
	Groups []struct {
		Name  string
		Rules []struct {
			Alert       string
			Expr        string
			For         string
			Labels      struct{ Severity string }
			Annotations struct{ Summary, Description string }
		}
	}
}

const monitoringDir = "../../monitoring"

// TestAnAlertThatCannotFire: every alert asks for metrics and labels that there
// are, says what to type, and has its paragraph in docs/operations.md.
func TestAnAlertThatCannotFire(t *testing.T) {
	have := registered(t)
	f, err := os.Open(filepath.Join(monitoringDir, "alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var file ruleFile
	d := yaml.NewDecoder(f)
	d.KnownFields(true)
	if err := d.Decode(&file); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	duration := regexp.MustCompile(`^(\d+[smhd])?$`)
	template := regexp.MustCompile(`\$labels\.(\w+)`)
	seen := map[string]bool{}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			ask(t, question{r.Alert, r.Expr}, have)
			if seen[r.Alert] || !strings.HasPrefix(r.Alert, "Vitrine") || !duration.MatchString(r.For) {
				t.Errorf("%q: its name is taken or odd, or %q is no duration", r.Alert, r.For)
			}
			seen[r.Alert] = true
			if r.Labels.Severity != "warning" && r.Labels.Severity != "critical" || r.Annotations.Summary == "" || r.Annotations.Description == "" {
				t.Errorf("%s lacks its severity, summary or description", r.Alert)
			}
			for _, m := range template.FindAllStringSubmatch(r.Annotations.Summary+r.Annotations.Description, -1) {
				if !strings.Contains(r.Expr, m[1]) && m[1] != "instance" {
					t.Errorf("%s shows a label %q that its expression does not keep", r.Alert, m[1])
				}
			}
			if !strings.Contains(string(page), "`"+r.Alert+"`") {
				t.Errorf("docs/operations.md does not say what to do about %s", r.Alert)
			}
		}
	}
	if len(seen) < 10 {
		t.Errorf("only %d alerts were read", len(seen))
	}
	if promtool, err := exec.LookPath("promtool"); err == nil { // a second opinion, where there is one
		if out, err := exec.Command(promtool, "check", "rules", filepath.Join(monitoringDir, "alerts.yaml")).CombinedOutput(); err != nil {
			t.Errorf("promtool: %v\n%s", err, out)
		}
	}
}

// TestAGraphThatStaysEmpty: every panel of the dashboard asks for metrics and
// labels that there are.
func TestAGraphThatStaysEmpty(t *testing.T) {
	have := registered(t)
	b, err := os.ReadFile(filepath.Join(monitoringDir, "dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	type target struct{ Expr, LegendFormat string }
	var board struct {
		UID         string
		Annotations struct{ List []target }
		Templating  struct {
			List []struct{ Query any }
		}
		Panels []struct {
			ID      int
			Type    string
			Title   string
			Targets []target
			GridPos struct{ H, W, X, Y int }
		}
	}
	if err := json.Unmarshal(b, &board); err != nil {
		t.Fatal(err)
	}
	if board.UID == "" || len(board.Annotations.List) == 0 || len(board.Templating.List) != 2 {
		t.Error("the dashboard lacks its uid, annotations or variables")
	}
	used := map[string]bool{}
	for name := range have {
		used[name] = strings.Contains(string(b), name)
	}
	legend := regexp.MustCompile(`\{\{(\w+)\}\}`)
	ids, panels := map[int]bool{}, 0
	for _, p := range board.Panels {
		if ids[p.ID] || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %q: its id is taken, or it is wider than the page", p.Title)
		}
		ids[p.ID] = true
		if p.Type == "row" {
			continue
		}
		panels++
		if len(p.Targets) == 0 {
			t.Errorf("panel %q asks for nothing", p.Title)
		}
		for _, q := range p.Targets {
			ask(t, question{p.Title, q.Expr}, have)
			for _, m := range legend.FindAllStringSubmatch(q.LegendFormat, -1) {
				if strings.Contains(q.Expr, " by (") && !regexp.MustCompile(`by \([^)]*\b`+m[1]+`\b`).MatchString(q.Expr) {
					t.Errorf("panel %q: its legend shows %q, which its expression does not keep", p.Title, m[1])
				}
			}
		}
	}
	for _, q := range board.Annotations.List {
		ask(t, question{"annotation", q.Expr}, have)
	}
	if panels < 20 {
		t.Errorf("only %d panels were read", panels)
	}
	for name := range used { // what is counted and nobody would ever see
		family := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_sum"), "_count")
		if strings.HasPrefix(name, "vitrine_") && !used[family] && !slices.Contains(unseen, family) {
			t.Errorf("no panel shows %s", name)
		}
	}
}

// unseen are metrics that the dashboard leaves to other uses.
var unseen = []string{
	"vitrine_build_info",                                                   // joins
	"vitrine_sweeps_total", "vitrine_sweep_last_success_timestamp_seconds", // the alert that sweeps stopped
	"vitrine_disk_size_bytes", "vitrine_host_memory_bytes", // for shares of one's own
	"vitrine_video_viewers", // vitrine_viewers has them by path
}
