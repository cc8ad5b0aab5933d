package verify

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/smelt-project/smelt/convert"
	"github.com/smelt-project/smelt/tensor"
)

func TestNaNKeepsNoLimit(t *testing.T) {
	for _, m := range []Metric{RelativeRMS, Cosine, TopOne} {
		for _, f := range []Finding{{Metric: m, Got: Number(math.NaN()), Limit: 1}, {Metric: m, Got: 1, Limit: Number(math.NaN())}} {
			if f.judged().OK {
				t.Errorf("%s: %v keeps %v", m, f.Got, f.Limit)
			}
		}
	}
}

func TestReportIsOneJSONValueWithEveryNumber(t *testing.T) {
	p := pairOf(t, stories, convert.Options{Type: "f16"})
	p = withBytes(t, p, "blk.3.attn_k.weight", func(b []byte, _ tensor.Info) []byte { b[1] = 0x7e; return b }) // NaN
	b, err := json.Marshal(run(t, p, Options{Level: Weights}))
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Verdict  string
		Findings []map[string]any
	}
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if got.Verdict != Failed {
		t.Errorf("verdict %q", got.Verdict)
	}
	infinite := false
	for _, f := range got.Findings {
		for _, key := range []string{"check", "tensor", "layer", "metric", "got", "limit", "ok", "cause"} {
			if _, ok := f[key]; !ok {
				t.Fatalf("%v has no %q", f, key)
			}
		}
		infinite = infinite || f["got"] == "Infinity"
	}
	if !infinite {
		t.Error("no finding says Infinity of a tensor with NaN")
	}
}

func TestTextBeginsWithTheVerdictAndNamesTheFault(t *testing.T) {
	p := pairOf(t, stories, convert.Options{})
	p = withBytes(t, p, "blk.3.attn_k.weight", elementwise(func(v float32) float32 { return -v }))
	text := run(t, p, Options{Backends: backend(t)}).Text()
	lines := strings.Split(text, "\n")
	if !strings.HasPrefix(lines[0], "NOT VERIFIED: ") || !strings.HasSuffix(lines[0], ": 2 faults") {
		t.Errorf("the first line is %q", lines[0])
	}
	for _, want := range []string{"✗ blk.3.attn_k.weight: differing_bytes ", "likely cause: blk.3.attn_k.weight equals its source with the wrong sign",
		"✗ decoder.3.attn_k: relative_error "} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if n := len(lines); n > 30 {
		t.Errorf("%d lines; a person reads fewer", n)
	}
}

// TestPageIsWholeAndNeedsNothingElse reads the page as XML would be, which HTML
// that closes its elements nearly is.
func TestPageIsWholeAndNeedsNothingElse(t *testing.T) {
	p := pairOf(t, stories, convert.Options{Type: "Q4_K_M"})
	p.Result.Name = `</pre><script>alert("x")</script>`
	var page bytes.Buffer
	if err := run(t, p, Options{Backends: backend(t)}).WriteHTML(&page); err != nil {
		t.Fatal(err)
	}
	for _, outside := range []string{`src="`, "url(", "@import", "<script"} {
		if strings.Contains(page.String(), outside) {
			t.Errorf("the page has %s", outside)
		}
	}
	d := xml.NewDecoder(&page)
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	plots, circles := 0, 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok {
			switch e.Name.Local {
			case "svg":
				plots++
			case "circle":
				circles++
			}
		}
	}
	if plots < 5 || circles < 47 {
		t.Errorf("%d plots with %d points, want tensors, layers twice and logits of 3 prompts", plots, circles)
	}
}

func TestTimeThatIsUpIsSaid(t *testing.T) {
	p := pairOf(t, stories, convert.Options{})
	report := run(t, p, Options{Time: time.Nanosecond})
	if len(report.LeftOut) < 7 {
		t.Errorf("%d checks were left out: %v", len(report.LeftOut), report.LeftOut)
	}
	if !strings.HasSuffix(report.Headline(), "as far as it was compared") {
		t.Errorf("%q", report.Headline())
	}
}
