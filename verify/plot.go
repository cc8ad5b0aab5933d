package verify

import (
	"fmt"
	"math"
)

// A plot is a chart of points over a list of things, drawn as SVG by the page.
// All lengths are in units of its view box.
type plot struct {
	ID, Title string
	About     string
	Width     float64
	Height    float64
	Left      float64 // of the area of the points
	Right     float64
	Top       float64
	Bottom    float64
	XTicks    []tick
	YTicks    []tick
	Series    []series
}

// A tick is a labelled place on an axis.
type tick struct {
	At    float64
	Label string
}

// A series is points of one meaning.
type series struct {
	Name, Class string
	Path        string // the line through the points, "" if there is none
	Points      []point
}

// A point has what is shown when somebody points at it.
type point struct {
	X, Y  float64
	Class string
	Label string
}

// A datum is a value over the i-th thing.
type datum struct {
	i     int
	value float64
	label string
	bad   bool
}

// Of every plot.
const (
	plotWidth, plotHeight = 640, 320
	plotLeft, plotRight   = 84, 624
	plotTop, plotBottom   = 16, 270
)

func newPlot(id, title, about string) *plot {
	return &plot{ID: id, Title: title, About: about, Width: plotWidth, Height: plotHeight, Left: plotLeft, Right: plotRight, Top: plotTop, Bottom: plotBottom}
}

// An axis maps values to lengths.
type axis struct{ lo, hi, from, to float64 }

func (a axis) at(v float64) float64 {
	if a.hi == a.lo {
		return (a.from + a.to) / 2
	}
	return a.from + (v-a.lo)/(a.hi-a.lo)*(a.to-a.from)
}

// logarithmic returns an axis of whole powers of ten around the positive values.
func (p *plot) logarithmic(values []float64) axis {
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, v := range values {
		if v > 0 && !math.IsInf(v, 0) {
			lo, hi = math.Min(lo, math.Log10(v)), math.Max(hi, math.Log10(v))
		}
	}
	if lo > hi {
		lo, hi = -1, 0
	}
	lo, hi = math.Floor(lo), math.Max(math.Ceil(hi), math.Floor(lo)+1)
	a := axis{lo, hi, p.Bottom, p.Top}
	step := math.Max(1, math.Ceil((hi-lo)/6))
	for e := lo; e <= hi; e += step {
		p.YTicks = append(p.YTicks, tick{a.at(e), fmt.Sprintf("1e%+03.0f", e)})
	}
	return a
}

// linear returns an axis around the values.
func (p *plot) linear(values []float64) axis {
	lo, hi := 0.0, 0.0
	for _, v := range values {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			lo, hi = math.Min(lo, v), math.Max(hi, v)
		}
	}
	if lo == hi {
		hi = lo + 1
	}
	step := math.Pow(10, math.Floor(math.Log10((hi-lo)/2)))
	for (hi-lo)/step > 6 {
		step *= 2
	}
	lo, hi = math.Floor(lo/step)*step, math.Ceil(hi/step)*step
	a := axis{lo, hi, p.Bottom, p.Top}
	for v := lo; v <= hi+step/2; v += step {
		p.YTicks = append(p.YTicks, tick{a.at(v), fmt.Sprintf("%.3g", v)})
	}
	return a
}

// add draws data; log says that y counts powers of ten. What is 0 or less has no
// logarithm and lies on the bottom, what is no number or infinite on the top.
func (p *plot) add(name, class string, style style, x, y axis, scale func(float64) float64, data []datum) {
	s := series{Name: name, Class: class}
	for k, d := range data {
		v := scale(d.value)
		at := y.at(math.Min(math.Max(v, y.lo), y.hi))
		switch {
		case math.IsNaN(v) || math.IsInf(v, 1):
			at = p.Top
		case math.IsInf(v, -1):
			at = p.Bottom
		}
		pt := point{X: round(x.at(float64(d.i))), Y: round(at), Label: d.label}
		if d.bad {
			pt.Class = "bad"
		}
		switch {
		case style == points:
			s.Points = append(s.Points, pt)
		case style == line && k > 0:
			s.Path += fmt.Sprintf("L%.1f %.1f", pt.X, pt.Y)
		case style == line:
			s.Path += fmt.Sprintf("M%.1f %.1f", pt.X, pt.Y)
		case style == marks:
			s.Path += fmt.Sprintf("M%.1f %.1fh6", pt.X-3, pt.Y)
		}
	}
	p.Series = append(p.Series, s)
}

// A style is how a series is drawn.
type style int

const (
	points style = iota
	line         // from each point to the next
	marks        // a short line at each point
)

// log10 of what a plot shows.
func log10(v float64) float64 { return math.Log10(v) }

func same(v float64) float64 { return v }

func round(x float64) float64 { return math.Round(x*10) / 10 }
