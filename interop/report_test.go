//go:build interop

package interop

import (
	"context"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var chromium = peer{"Chromium", setup, func() (string, error) { return exec.LookPath("chromium") }}

// frame shows the report at a width and measures it from outside.
const frame = `<!DOCTYPE html><iframe id="f" src="/report.html" style="width:%dpx;height:4000px;border:0"></iframe><pre id="measured"></pre>
<script>
const f = document.getElementById("f");
f.onload = () => {
	const d = f.contentDocument, boxes = [...d.querySelectorAll("svg")].map(s => s.getBoundingClientRect());
	document.getElementById("measured").textContent = JSON.stringify({
		page: d.documentElement.scrollWidth,
		plots: boxes.map(b => ({left: b.left, right: b.right, height: b.height})),
		points: [...d.querySelectorAll("svg")].map(s => s.querySelectorAll("circle").length),
		text: Math.min(...[...d.querySelectorAll("svg text")].map(t => t.getBoundingClientRect().height).filter(h => h > 0)),
	});
};
</script>`

// A measured page is what frame measures, in CSS pixels.
type measured struct {
	Page  float64
	Plots []struct{ Left, Right, Height float64 }
	// Points are those of each plot.
	Points []int
	Text   float64 // height of the smallest text in a plot
}

func TestTheReportShowsItsPlotsAtEveryWidth(t *testing.T) {
	browser := need(t, chromium)
	dir := t.TempDir()
	original := filepath.Join("..", "testdata", "stories260K", "stories260K.pt")
	result, page := filepath.Join(dir, "q4.gguf"), filepath.Join(dir, "report.html")
	smelt(t, "quantize", original, result, "Q4_K_M", "--quiet")
	smelt(t, "verify", original, result, "--quiet", "--html", page)
	outside := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var width int
		switch n, err := fmt.Sscanf(r.URL.Path, "/at/%d", &width); {
		case n == 1 && err == nil:
			_, _ = fmt.Fprintf(w, frame, width)
		case r.URL.Path == "/report.html":
			http.ServeFile(w, r, page)
		case r.URL.Path == "/favicon.ico":
		default:
			outside++
		}
	}))
	defer server.Close()
	for _, width := range []int{390, 1280} {
		t.Run(fmt.Sprint(width), func(t *testing.T) {
			m := show(t, browser, fmt.Sprintf("%s/at/%d", server.URL, width))
			if m.Page > float64(width) {
				t.Errorf("the page is %v wide, want at most %d", m.Page, width)
			}
			if len(m.Plots) < 4 {
				t.Errorf("%d plots, want tensors, layers with and without rounding, and logits", len(m.Plots))
			}
			for i, p := range m.Plots {
				if p.Left < 0 || p.Right > float64(width) || p.Height < 120 || m.Points[i] < 5 {
					t.Errorf("plot %d is at %v with %d points, want it inside %d", i, p, m.Points[i], width)
				}
			}
			if m.Text < 9 {
				t.Errorf("text of plots is %v high, want 9 to read it", m.Text)
			}
		})
	}
	if outside > 0 {
		t.Errorf("the page asked for %d other files", outside)
	}
}

// show opens a page and returns what it measured. Anything on its console fails
// the test.
func show(t *testing.T, browser, url string) (m measured) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0",
		"--user-data-dir="+t.TempDir(), "--window-size=1400,4200", "--virtual-time-budget=5000", "--dump-dom", url)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("chromium: %v\n%s", err, stderr.String())
	}
	for line := range strings.Lines(stderr.String()) {
		if strings.Contains(line, "CONSOLE") {
			t.Errorf("console: %s", line)
		}
	}
	found := regexp.MustCompile(`<pre id="measured">(.*?)</pre>`).FindSubmatch(out)
	if found == nil {
		t.Fatalf("nothing was measured:\n%.2000s", out)
	}
	if err := json.Unmarshal([]byte(html.UnescapeString(string(found[1]))), &m); err != nil {
		t.Fatalf("%v in %s", err, found[1])
	}
	return m
}
