package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// everyCall makes each call of the client, with every field set: what is sent is
// what is held to the description.
var everyCall = map[string]func(context.Context, *Client) error{
	"Info":             func(ctx context.Context, c *Client) error { _, err := c.Info(ctx); return err },
	"PutMachineConfig": func(ctx context.Context, c *Client) error { return c.PutMachineConfig(ctx, MachineConfig{2, 2048}) },
	"PutCPUConfig": func(ctx context.Context, c *Client) error {
		return c.PutCPUConfig(ctx, json.RawMessage(`{"cpuid_modifiers":[{"leaf":"0x1","subleaf":"0x0","flags":0,"modifiers":[{"register":"ecx","bitmap":"0bxxxxxxxxxxxxxxxxxx0xxxxxxxxxxxxx"}]}]}`))
	},
	"PutBootSource": func(ctx context.Context, c *Client) error {
		return c.PutBootSource(ctx, BootSource{"/vmlinux", "/initrd", "console=ttyS0"})
	},
	"PutDrive": func(ctx context.Context, c *Client) error {
		return c.PutDrive(ctx, Drive{"base", "/base", false, true, limiter})
	},
	"PutNetworkInterface": func(ctx context.Context, c *Client) error {
		return c.PutNetworkInterface(ctx, NetworkInterface{"eth0", "tap0", "02:00:00:00:00:01", limiter, limiter})
	},
	"PutVsock":     func(ctx context.Context, c *Client) error { return c.PutVsock(ctx, Vsock{3, "/v.sock"}) },
	"PutBalloon":   func(ctx context.Context, c *Client) error { return c.PutBalloon(ctx, Balloon{0, true}) },
	"PutEntropy":   func(ctx context.Context, c *Client) error { return c.PutEntropy(ctx, Entropy{limiter}) },
	"PutSerial":    func(ctx context.Context, c *Client) error { return c.PutSerial(ctx, Serial{limiter.Bandwidth}) },
	"Start":        func(ctx context.Context, c *Client) error { return c.Start(ctx) },
	"FlushMetrics": func(ctx context.Context, c *Client) error { return c.FlushMetrics(ctx) },
	"Pause":        func(ctx context.Context, c *Client) error { return c.Pause(ctx) },
	"Resume":       func(ctx context.Context, c *Client) error { return c.Resume(ctx) },
	"CreateSnapshot": func(ctx context.Context, c *Client) error {
		return c.CreateSnapshot(ctx, SnapshotCreate{"Full", "/s", "/m"})
	},
	"LoadSnapshot": func(ctx context.Context, c *Client) error {
		return c.LoadSnapshot(ctx, SnapshotLoad{"/s", MemoryBackend{"File", "/m"}, true})
	},
}

var limiter = &RateLimiter{&TokenBucket{1 << 20, 1 << 20, 100}, &TokenBucket{100, 100, 100}}

// TestEveryRequestIsInFirecrackersDescription reads Firecracker's own file. It
// proves that the requests are well-formed for that version; what they do is
// proved by the tests that run the real program.
func TestEveryRequestIsInFirecrackersDescription(t *testing.T) {
	file := os.Getenv("FIRECRACKER_SWAGGER")
	if file == "" {
		t.Skip("skipped: FIRECRACKER_SWAGGER does not name Firecracker's API description (src/firecracker/swagger/firecracker.yaml of its source)")
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var doc description
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	for name, call := range everyCall {
		t.Run(name, func(t *testing.T) {
			asked := 0
			c := server(t, func(w http.ResponseWriter, r *http.Request) {
				asked++
				body, _ := io.ReadAll(r.Body)
				for _, wrong := range doc.check(r.Method, r.URL.Path, body) {
					t.Errorf("%s %s: %s", r.Method, r.URL.Path, wrong)
				}
				_, _ = io.WriteString(w, "{}")
			})
			if err := call(t.Context(), c); err != nil || asked != 1 {
				t.Errorf("%d requests, %v", asked, err)
			}
		})
	}
	for _, reply := range []struct {
		definition string
		into       any
	}{{"InstanceInfo", InstanceInfo{}}} {
		b, _ := json.Marshal(reply.into)
		var fields map[string]any
		_ = json.Unmarshal(b, &fields)
		for f := range fields {
			if _, ok := doc.Definitions[reply.definition].Properties[f]; !ok {
				t.Errorf("the reply %s has no field %s", reply.definition, f)
			}
		}
	}
}

// No method may be left out above, or its request is held to nothing.
func TestEveryCallIsHeldToTheDescription(t *testing.T) {
	client := reflect.TypeFor[*Client]()
	for i := range client.NumMethod() {
		if name := client.Method(i).Name; name != "Close" && everyCall[name] == nil {
			t.Errorf("the call %s is not tried", name)
		}
	}
}

// The judge is judged: one that finds nothing wrong would look like success.
func TestTheDescriptionsJudgeFindsMistakes(t *testing.T) {
	var doc description
	err := yaml.Unmarshal([]byte(`
paths:
  /thing/{id}:
    put:
      parameters:
        - {name: id, in: path, type: string}
        - {name: body, in: body, required: true, schema: {$ref: "#/definitions/Thing"}}
definitions:
  Thing:
    required: [size]
    properties:
      size: {type: integer, minimum: 3}
      kind: {type: string, enum: [A, B]}
      parts: {type: array, items: {$ref: "#/definitions/Part"}}
  Part: {properties: {on: {type: boolean}}}
`), &doc)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ method, path, body, want string }{
		{"PUT", "/thing/1", `{"size":3,"kind":"A","parts":[{"on":true}]}`, ""},
		{"GET", "/thing/1", ``, "no such call"},
		{"PUT", "/thing", `{}`, "no such call"},
		{"PUT", "/thing/1", `{}`, "size is required"},
		{"PUT", "/thing/1", `{"size":3,"colour":1}`, "no field colour"},
		{"PUT", "/thing/1", `{"size":"3"}`, "size is no integer"},
		{"PUT", "/thing/1", `{"size":2}`, "size is less than"},
		{"PUT", "/thing/1", `{"size":3,"kind":"C"}`, `kind may not be "C"`},
		{"PUT", "/thing/1", `{"size":3,"parts":[{"on":1}]}`, "parts[0].on is no boolean"},
		{"PUT", "/thing/1", ``, "a body is required"},
	} {
		got := strings.Join(doc.check(c.method, c.path, []byte(c.body)), "; ")
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s %s %s: %q, want %q", c.method, c.path, c.body, got, c.want)
		}
	}
}

// description is as much of OpenAPI 2 as Firecracker's file uses.
type description struct {
	Paths map[string]map[string]struct {
		Parameters []struct {
			In       string
			Required bool
			Schema   schema
		}
	}
	Definitions map[string]schema
}

type schema struct {
	Ref        string `yaml:"$ref"`
	Type       string
	Enum       []string
	Required   []string
	Properties map[string]schema
	Items      *schema
	Minimum    *float64
	Maximum    *float64
}

var parameter = regexp.MustCompile(`\\\{[^/]*\\\}`)

func (d *description) check(method, path string, body []byte) []string {
	for pattern, methods := range d.Paths {
		re := "^" + parameter.ReplaceAllString(regexp.QuoteMeta(pattern), "[^/]+") + "$"
		call, ok := methods[strings.ToLower(method)]
		if !ok || !regexp.MustCompile(re).MatchString(path) {
			continue
		}
		for _, p := range call.Parameters {
			if p.In != "body" {
				continue
			}
			if len(body) == 0 {
				if p.Required {
					return []string{"a body is required"}
				}
				return nil
			}
			var v any
			if err := json.Unmarshal(body, &v); err != nil {
				return []string{err.Error()}
			}
			return d.value("", p.Schema, v)
		}
		if len(body) > 0 {
			return []string{"it takes no body"}
		}
		return nil
	}
	return []string{"no such call"}
}

func (d *description) value(at string, s schema, v any) (wrong []string) {
	for s.Ref != "" {
		s = d.Definitions[strings.TrimPrefix(s.Ref, "#/definitions/")]
	}
	if s.Type == "" && s.Properties != nil {
		s.Type = "object"
	}
	name := strings.TrimPrefix(at, ".")
	ok := true
	switch s.Type {
	case "object":
		fields, is := v.(map[string]any)
		ok = is
		for _, r := range s.Required {
			if _, there := fields[r]; is && !there {
				wrong = append(wrong, strings.TrimPrefix(at+"."+r, ".")+" is required")
			}
		}
		for k, f := range fields {
			p, known := s.Properties[k]
			if !known {
				wrong = append(wrong, fmt.Sprintf("%s has no field %s", name, k))
				continue
			}
			wrong = append(wrong, d.value(at+"."+k, p, f)...)
		}
	case "array":
		list, is := v.([]any)
		ok = is
		for i, item := range list {
			wrong = append(wrong, d.value(fmt.Sprintf("%s[%d]", at, i), *s.Items, item)...)
		}
	case "string":
		text, is := v.(string)
		ok = is
		if is && len(s.Enum) > 0 && !slices.Contains(s.Enum, text) {
			wrong = append(wrong, fmt.Sprintf("%s may not be %q", name, text))
		}
	case "boolean":
		_, ok = v.(bool)
	case "integer":
		n, is := v.(float64)
		ok = is && n == math.Trunc(n)
		if is && s.Minimum != nil && n < *s.Minimum {
			wrong = append(wrong, fmt.Sprintf("%s is less than %v", name, *s.Minimum))
		}
		if is && s.Maximum != nil && n > *s.Maximum {
			wrong = append(wrong, fmt.Sprintf("%s is more than %v", name, *s.Maximum))
		}
	default:
		wrong = append(wrong, fmt.Sprintf("%s has the type %q, which this test does not know", name, s.Type))
	}
	if !ok {
		wrong = append(wrong, fmt.Sprintf("%s is no %s", name, s.Type))
	}
	return wrong
}
