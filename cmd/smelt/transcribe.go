package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/smelt-project/smelt/audio"
	"github.com/smelt-project/smelt/infer"
	"github.com/smelt-project/smelt/infer/cpu"
	"github.com/smelt-project/smelt/tensor"
)

// transcribeFlags are the flags of smelt transcribe.
type transcribeFlags struct {
	model   modelFlags
	options infer.TranscribeOptions
	format  string
	quiet   bool
}

// A transcriptFormat is how a transcript is printed; one without segment is JSON.
type transcriptFormat struct {
	name, head string
	// segment is segment number i, counted from 0.
	segment func(i int, s infer.Segment) string
}

// transcriptFormats: SubRip, and WebVTT (w3.org/TR/webvtt1).
var transcriptFormats = []transcriptFormat{
	{name: "txt", segment: func(_ int, s infer.Segment) string { return spoken(s) + "\n" }},
	{name: "srt", segment: func(i int, s infer.Segment) string {
		return fmt.Sprintf("%d\n%s --> %s\n%s\n\n", i+1, clock(s.Start, ","), clock(s.End, ","), cue(s))
	}},
	{name: "vtt", head: "WEBVTT\n\n", segment: func(_ int, s infer.Segment) string {
		return fmt.Sprintf("%s --> %s\n%s\n\n", clock(s.Start, "."), clock(s.End, "."), cue(s))
	}},
	{name: "json"},
}

// transcriptNames lists what --format takes.
func transcriptNames() []string {
	var names []string
	for _, f := range transcriptFormats {
		names = append(names, f.name)
	}
	return names
}

// spoken is the text of a segment in one line.
func spoken(s infer.Segment) string { return strings.Join(strings.Fields(s.Text), " ") }

// cue is that without what begins a cue.
func cue(s infer.Segment) string { return strings.ReplaceAll(spoken(s), "-->", "->") }

// clock is a time as in "00:01:02,345".
func clock(d time.Duration, point string) string {
	ms := d.Milliseconds()
	return fmt.Sprintf("%02d:%02d:%02d%s%03d", ms/3_600_000, ms/60_000%60, ms/1000%60, point, ms%1000)
}

// maxBeam bounds the memory of --beam.
const maxBeam = 32

func (p *program) transcribeCommand() *cli.Command {
	f := &transcribeFlags{}
	return &cli.Command{
		Name:  "transcribe",
		Usage: "write down what is said in a recording, with a Whisper model",
		UsageText: `smelt transcribe MODEL AUDIO [FLAGS]

smelt transcribe whisper-base.pt speech.wav
smelt transcribe whisper-base.bin speech.mp3 --language de
smelt transcribe whisper-base.gguf speech.flac --format srt --beam 5 > speech.srt`,
		Description: "MODEL is what smelt convert reads, before or after it was converted: it hears the same. AUDIO is WAV, FLAC or MP3 of any rate. " +
			"Segments are printed when they are done.",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "language", Usage: "the language that is spoken, a `CODE` such as en (default: the one that is likeliest in the first 30 s)", Destination: &f.options.Language},
			&cli.StringFlag{Name: "format", Value: "txt", Usage: "print `FORMAT`: " + oneOf(transcriptNames()), Destination: &f.format},
			&cli.IntFlag{Name: "beam", Value: 1, Usage: "continue `N` texts beside each other and take the likeliest; slower and often better", Destination: &f.options.Beam},
			&cli.BoolFlag{Name: "quiet", DisableDefaultText: true, Usage: "show no progress", Destination: &f.quiet},
		}, f.model.flags()...),
		OnUsageError: onUsageError,
		BashComplete: complete(map[string]func() []string{"--format": transcriptNames}),
		Action:       func(c *cli.Context) error { return p.transcribe(c, f) },
	}
}

func (p *program) transcribe(c *cli.Context, f *transcribeFlags) error {
	at := slices.Index(transcriptNames(), f.format)
	p.json = at >= 0 && transcriptFormats[at].segment == nil
	if err := wantArgs(c, 2, "a MODEL and an AUDIO"); err != nil {
		return err
	}
	if at < 0 {
		return usagef("--format %q: want %s", f.format, oneOf(transcriptNames()))
	}
	if f.options.Beam < 1 || f.options.Beam > maxBeam {
		return usagef("--beam %d: want 1 to %d", f.options.Beam, maxBeam)
	}
	samples, err := readAudio(c.Args().Get(1))
	if err != nil {
		return err
	}
	return f.model.with(c.Context, c.Args().First(), func(m *tensor.Model, b *cpu.Backend) error {
		n, err := infer.NewWhisper(m, b)
		if err != nil {
			return err
		}
		t, err := infer.NewTranscriber(m, n)
		if err != nil {
			return err
		}
		return p.writeDown(c.Context, t, samples, &transcriptFormats[at], f)
	})
}

// writeDown prints segments as they come, or the whole at the end.
func (p *program) writeDown(ctx context.Context, t *infer.Transcriber, samples []float32, format *transcriptFormat, f *transcribeFlags) error {
	// Lines of text are progress enough, and a bar among them would not be read.
	bar := p.newProgress(&convertFlags{silent: f.quiet || format.name == "txt"})
	printed := 0
	if format.segment != nil {
		if _, err := io.WriteString(p.out, format.head); err != nil {
			return err
		}
		f.options.Segment = func(s infer.Segment) error {
			_, err := io.WriteString(p.language, format.segment(printed, s))
			printed++
			return errors.Join(err, p.flush())
		}
	}
	f.options.Progress = bar.startTime(time.Duration(len(samples)) * time.Second / audio.SampleRate)
	out, err := t.Transcribe(ctx, samples, f.options)
	bar.stop()
	if err != nil || !p.json {
		return err
	}
	return p.printJSON(newTranscript(out))
}

// A transcript is what --format json prints; times are in seconds.
type transcript struct {
	Text     string       `json:"text"`
	Language string       `json:"language"`
	Segments []segmentRow `json:"segments"`
}

type segmentRow struct {
	Start  float64 `json:"start"`
	End    float64 `json:"end"`
	Text   string  `json:"text"`
	Tokens []int32 `json:"tokens"`
}

func newTranscript(t *infer.Transcript) transcript {
	out := transcript{Text: t.Text, Language: t.Language, Segments: []segmentRow{}}
	for _, s := range t.Segments {
		out.Segments = append(out.Segments, segmentRow{s.Start.Seconds(), s.End.Seconds(), s.Text, s.Tokens})
	}
	return out
}
