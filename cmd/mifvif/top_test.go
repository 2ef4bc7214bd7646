package main

import (
	"errors"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"mifvif/control"
)

// sitting is a person before a screen.
type sitting struct {
	t *testing.T
	m *top
}

// sitDown shows what a daemon says on a screen, of two looks a second apart.
func sitDown(t *testing.T, width, height int, looks ...sample) *sitting {
	t.Helper()
	s := &sitting{t, &top{
		ask: func() sample { return sample{} },
		explain: func(id string) explained {
			return explained{id: id, explanation: control.Explanation{
				Flow:     control.FlowKey{ID: id, Proto: "tcp", Src: "198.18.0.1:40000", Dst: "192.0.2.80:443", Name: "www.example.com"},
				Decision: &control.Decision{PvD: "fiber", Interface: "eth0", Source: "10.1.0.2", Rule: "house", Actor: "admin", Reason: "preferred"},
				Candidates: []control.Candidate{
					{PvD: "fiber", Verdict: "chosen", Reason: "the rule prefers it"}, {PvD: "lte", Verdict: "kept", Reason: "it is metered, and the rule names another one before it"},
				},
				Rules: []control.Rule{{Name: "house", Actor: "admin", Effect: "prefers fiber, lte"}},
			}}
		},
	}}
	s.says(tea.WindowSizeMsg{Width: width, Height: height})
	for _, look := range looks {
		s.says(look)
	}
	return s
}

// says gives the model messages, and those that follow from them.
func (s *sitting) says(all ...tea.Msg) {
	s.t.Helper()
	for _, msg := range all {
		_, cmd := s.m.Update(msg)
		s.check()
		if _, ok := msg.(tick); cmd != nil && !ok {
			s.says(cmd())
		}
	}
}

// types presses keys, by name or as text.
func (s *sitting) types(keys ...string) {
	s.t.Helper()
	special := map[string]rune{
		"enter": tea.KeyEnter, "esc": tea.KeyEscape, "up": tea.KeyUp, "down": tea.KeyDown, "pgdown": tea.KeyPgDown, "pgup": tea.KeyPgUp, "home": tea.KeyHome, "end": tea.KeyEnd, "backspace": tea.KeyBackspace,
	}
	for _, key := range keys {
		if code, ok := special[key]; ok {
			s.says(tea.KeyPressMsg{Code: code})
			continue
		}
		for _, r := range key {
			s.says(tea.KeyPressMsg{Code: r, Text: string(r)})
		}
	}
}

// check wants the screen to fit, and nothing on it that a terminal would obey but
// the styles of our own.
func (s *sitting) check() {
	s.t.Helper()
	lines := strings.Split(s.m.View().Content, "\n")
	if len(lines) > max(s.m.height, 1) {
		s.t.Errorf("%d lines on a screen of %d", len(lines), s.m.height)
	}
	for _, line := range lines {
		if n := ansi.StringWidthWc(line); n > s.m.width {
			s.t.Errorf("%q is %d columns wide on a screen of %d", line, n, s.m.width)
		}
		for _, own := range []string{"1", "1;31", "2", "4", "7", "31", "33", ""} {
			line = strings.ReplaceAll(line, "\x1b["+own+"m", "")
		}
		if line != visible(line) {
			s.t.Errorf("the terminal would obey something of %q", line)
		}
	}
}

// screen is what the person reads.
func (s *sitting) screen() string {
	lines := strings.Split(ansi.Strip(s.m.View().Content), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n") + "\n"
}

// marked is the line that stands out.
func (s *sitting) marked() string {
	s.t.Helper()
	_, rest, _ := strings.Cut(s.m.View().Content, "\x1b[7m")
	line, _, _ := strings.Cut(rest, "\x1b[m")
	return line
}

// ids are the flows that are listed, from the top.
func (s *sitting) ids() string {
	var out []string
	for _, f := range s.m.list.flows {
		out = append(out, f.ID)
	}
	return strings.Join(out, " ")
}

// topLooks are two looks at a daemon, a second apart.
func topLooks() []sample {
	began := time.Now().UTC()
	rtt, loss := 0.025, 0.01
	look := func(second int, carried uint64) sample {
		at := began.Add(time.Duration(second) * time.Second)
		return sample{
			at: at, flowsAt: at,
			status: control.Status{
				Version: "v1", State: "running", Since: began.Add(-time.Hour), Interface: control.Interface{Name: "mif0"}, Flows: control.Counts{TCP: 3, UDP: 1},
				PvDs: []control.PvD{
					{Name: "fiber", State: "online", Interface: "eth0", Sources: []string{"192.168.1.10", "2001:db8:1::10"}, RTT: &rtt, Loss: &loss, Flows: 3, TxBytes: carried, RxBytes: 100 * carried},
					{Name: "lte", State: "online", Interface: "wwan0", Sources: []string{"10.2.0.2"}, Flows: 1, TxBytes: 7000, RxBytes: 9_000_000},
					{Name: "wifi", State: "offline", Interface: "wlan0", Reason: "the link has no carrier"},
				},
				Warnings: []string{"something"},
			},
			flows: []control.Flow{
				{ID: "t1", Proto: "tcp", Src: "198.18.0.1:40000", Dst: "192.0.2.80:443", Name: "www.example.com", PvD: "fiber", Source: "192.168.1.10:40000", Rule: "house", Reason: "preferred", Path: "terminated", State: "established", Started: began.Add(-3 * time.Minute), TxBytes: carried, RxBytes: 100 * carried, Owner: control.Owner{PID: 7, UID: 1000, Process: "firefox", Cgroup: "/user.slice"}},
				{ID: "t2", Proto: "tcp", Src: "[2001:2::1]:40001", Dst: "[2001:db8::80]:22", PvD: "fiber", Started: began.Add(-time.Hour), Path: "terminated", TxBytes: 10 * carried, Owner: control.Owner{PID: 8, Process: "ssh"}},
				{ID: "t3", Proto: "tcp", Src: "198.18.0.1:40002", Dst: "203.0.113.80:443", Name: "cdn.example.net", PvD: "lte", Started: began.Add(-time.Minute), TxBytes: 7000, RxBytes: 9_000_000, Owner: control.Owner{PID: 9, Process: "curl"}},
				{ID: "u4", Proto: "udp", Src: "198.18.0.1:40003", Dst: "192.0.2.53:123", PvD: "fiber", Started: began.Add(-time.Second), TxBytes: 48},
			},
		}
	}
	return []sample{look(0, 1000), look(1, 3000)}
}

// TestTopIsGolden: what top shows does not change unnoticed. After a change that is
// meant, delete the files and run it.
func TestTopIsGolden(t *testing.T) {
	for _, size := range []struct {
		name          string
		width, height int
	}{{"80x24", 80, 24}, {"40x10", 40, 10}, {"160x30", 160, 30}} {
		for name, do := range map[string]func(s *sitting){
			"list":   func(*sitting) {},
			"detail": func(s *sitting) { s.types("down", "enter") },
			"filter": func(s *sitting) { s.types("p", "/", "example") },
			"help":   func(s *sitting) { s.types("?") },
			"gone":   func(s *sitting) { s.says(sample{err: control.ErrNotRunning}) },
			"bytes":  func(s *sitting) { s.types("b", "a", "a") },
		} {
			screen := ""
			synctest.Test(t, func(t *testing.T) { // where the time is always the same
				s := sitDown(t, size.width, size.height, topLooks()...)
				do(s)
				screen = s.screen()
			})
			golden(t, filepath.Join("testdata", "top", name+"-"+size.name+".txt"), screen)
		}
	}
}

// TestTopSortsAndFilters by its keys.
func TestTopSortsAndFilters(t *testing.T) {
	for keys, want := range map[string]string{
		"":                   "t1 t2 t3 u4",
		"r":                  "u4 t3 t2 t1",
		"b":                  "t3 t1 t2 u4",
		"b b":                "u4 t2 t1 t3",
		"a":                  "t2 t1 t3 u4",
		"a a":                "u4 t3 t1 t2",
		"p":                  "t1 t2 u4",
		"p p":                "t3",
		"p p p":              "",
		"p p p p":            "t1 t2 t3 u4",
		"/ EXAMPLE":          "t1 t3",
		"/ example enter":    "t1 t3",
		"/ example esc":      "t1 t2 t3 u4",
		"/ fire":             "t1",
		"/ 2001:db8 enter a": "t2",
		"/ lte":              "t3",
		"/ ltx backspace":    "t3",
		"p / curl":           "",
	} {
		s := sitDown(t, 80, 24, topLooks()...)
		s.types(strings.Fields(keys)...)
		if got := s.ids(); got != want {
			t.Errorf("after %q the flows are %q, want %q", keys, got, want)
		}
	}
}

// TestTopsMarkStaysWithItsFlow, and at the top with the first.
func TestTopsMarkStaysWithItsFlow(t *testing.T) {
	s := sitDown(t, 80, 24, topLooks()...)
	marked := func(want string) {
		t.Helper()
		if got, _, _ := strings.Cut(s.marked(), " "); got != want {
			t.Errorf("%q is marked, want %q in\n%s", got, want, s.screen())
		}
	}
	marked("t1")
	s.types("b")
	marked("t3") // the first, whichever it is
	s.types("r", "r", "r", "down")
	marked("t2")
	s.types("b")
	marked("t2")
	s.types("end")
	marked("u4")
	s.types("pgup")
	marked("t3")
	s.types("down", "down")
	marked("t2")
	looks := topLooks()
	last := looks[1]
	last.at, last.flowsAt = last.at.Add(time.Second), last.flowsAt.Add(time.Second)
	last.flows = slices.Delete(slices.Clone(last.flows), 1, 2)
	s.says(last)
	marked("u4") // t2 has ended: on the one after it
	last.flows = nil
	s.says(last)
	s.types("enter", "down", "up", "end", "pgdown")
	if s.m.detail != nil || s.m.list.marked() != nil {
		t.Error("without flows one is marked")
	}
}

// TestTopScrollsThroughManyFlows, whatever there is room for.
func TestTopScrollsThroughManyFlows(t *testing.T) {
	looks := topLooks()
	for i := range looks {
		one := looks[i].flows[0]
		for range 300 {
			one.ID += "0"
			looks[i].flows = append(looks[i].flows, one)
		}
	}
	for height := range 40 {
		for _, width := range []int{0, 1, 7, 40, 80, 200} {
			s := sitDown(t, width, height, looks...)
			s.types("pgdown", "down", "pgdown", "up", "end", "pgup", "home", "a", "?", "end", "?", "enter", "pgdown", "?", "esc", "esc", "end", "/", "x", "esc")
		}
	}
	s := sitDown(t, 80, 24, looks...)
	s.types("end")
	if s.marked() == "" {
		t.Errorf("the mark is not on the screen:\n%s", s.screen())
	}
	s.says(tea.WindowSizeMsg{Width: 60, Height: 9})
	if s.marked() == "" {
		t.Errorf("the mark is not on the smaller screen:\n%s", s.screen())
	}
}

// TestTopBoundsDomains: very many leave room for flows.
func TestTopBoundsDomains(t *testing.T) {
	look := topLooks()[0]
	for range 100 {
		look.status.PvDs = append(look.status.PvDs, look.status.PvDs[0])
	}
	s := sitDown(t, 80, 24, look)
	if text := s.screen(); !strings.Contains(text, "more domains") || !strings.Contains(text, "www.example.com:443") {
		t.Errorf("domains and flows do not share the screen:\n%s", text)
	}
}

// TestTopShowsWhatCarries: where not all domains have room, and names in full where
// they have.
func TestTopShowsWhatCarries(t *testing.T) {
	look := topLooks()[0]
	look.status.PvDs = nil
	for i := range 20 {
		p := control.PvD{Name: "network-number-" + strconv.Itoa(i) + ".example.com", State: "offline"}
		if i == 19 {
			p.State = "online"
		}
		look.status.PvDs = append(look.status.PvDs, p)
	}
	if screen := sitDown(t, 160, 24, look).screen(); !strings.Contains(screen, "network-number-19.example.com online") {
		t.Errorf("the one domain that carries flows is not shown in full:\n%s", screen)
	}
}

// TestTopsRates are what was carried between two looks at one daemon.
func TestTopsRates(t *testing.T) {
	looks := topLooks()
	s := sitDown(t, 80, 24, looks[0])
	if f := s.m.list.all[0]; f.known || len(s.m.speeds) != 0 {
		t.Errorf("after one look a rate is known: %+v", f.speed)
	}
	began := looks[1].flows[3]
	began.ID, began.TxBytes = "u5", 500
	again := looks[1].flows[1]
	again.ID, again.Started, again.TxBytes = "t3", again.Started.Add(time.Second), 100
	looks[1].flows = append(looks[1].flows[:2:2], began, again)
	s.says(looks[1])
	want := map[string]speed{"t1": {16_000, 1_600_000, true}, "t2": {160_000, 0, true}, "u5": {4000, 0, true}, "t3": {800, 0, true}}
	for _, f := range s.m.list.all {
		if f.speed != want[f.ID] {
			t.Errorf("%s: %+v, want %+v", f.ID, f.speed, want[f.ID])
		}
	}
	if got, want := s.m.speeds["fiber"], (speed{16_000, 1_600_000, true}); got != want {
		t.Errorf("fiber: %+v, want %+v", got, want)
	}
	s.says(sample{err: control.ErrNotRunning}, looks[1])
	if f := s.m.list.all[0]; f.known {
		t.Errorf("after the daemon was away a rate is known: %+v", f.speed)
	}
	looks[0].at, looks[0].flowsAt = looks[1].at.Add(time.Second), looks[1].at.Add(time.Second)
	s.says(looks[0]) // counts less than before
	if f := s.m.list.all[0]; !f.known || f.total() != 0 {
		t.Errorf("a counter that went back is a rate of %+v", f.speed)
	}
}

// TestTopAsksOneAtATime, and seldom where answers take long.
func TestTopAsksOneAtATime(t *testing.T) {
	s := sitDown(t, 80, 24, topLooks()...)
	began := time.Now()
	if s.m.look(began) == nil {
		t.Fatal("nobody is asked")
	}
	if s.m.look(began.Add(time.Second)) != nil {
		t.Error("asked while an answer is on its way")
	}
	s.m.look(began.Add(silentFor))
	if !strings.Contains(s.screen(), "no answer since") {
		t.Errorf("a silent daemon is not called that:\n%s", s.screen())
	}
	slow := topLooks()[0]
	slow.took = 2 * time.Second
	s.says(slow)
	if strings.Contains(s.screen(), "no answer") {
		t.Errorf("it has answered:\n%s", s.screen())
	}
	if s.m.look(began.Add(7*time.Second)) != nil {
		t.Error("asked too early")
	}
	if s.m.look(began.Add(8*time.Second)) == nil {
		t.Error("not asked any more")
	}
}

// TestTopSurvivesHostileText: whatever apps and networks call themselves.
func TestTopSurvivesHostileText(t *testing.T) {
	for _, evil := range []string{
		"\x1b]0;owned\x07", "\x1b[2J\x1b[H", "a\nb\r\nc", "\t\t\t", "\u009b31m", "\xff\xfe\xc3", "\u202egnp.exe", "日本語日本語日本語日本語日本語日本語日本語日本語", "🧑\u200d🚀🧑🏽‍💻❤\ufe0f🇩🇪", "e\u0301\u0301\u0301", "\u2028", "ab\x00c\x7f", strings.Repeat("x", 5000), "한국어", "\u1100\u1161\u11a8", "%s%n%!d",
	} {
		looks := topLooks()
		for i := range looks {
			s := &looks[i].status
			s.Version, s.State, s.Interface.Name, s.Warnings = evil, evil, evil, []string{evil}
			for j := range s.PvDs {
				p := &s.PvDs[j]
				p.Name, p.State, p.Interface, p.Reason, p.Sources = evil, evil, evil, evil, []string{evil}
			}
			for j := range looks[i].flows {
				f := &looks[i].flows[j]
				f.ID, f.Proto, f.Src, f.Dst, f.Name, f.PvD, f.Source, f.Rule, f.Reason, f.State, f.Path = evil, evil, evil, evil, evil, evil, evil, evil, evil, evil, evil
				f.Owner.Process, f.Owner.Cgroup = evil, evil
			}
		}
		for _, width := range []int{0, 1, 2, 39, 40, 80, 200} {
			s := sitDown(t, width, 24, looks...)
			s.m.explain = func(id string) explained {
				return explained{id: id, explanation: control.Explanation{
					Flow: control.FlowKey{Proto: evil, Src: evil, Dst: evil, Name: evil, Zone: evil}, Refusal: evil,
					Candidates: []control.Candidate{{PvD: evil, Verdict: evil, Reason: evil}}, Rules: []control.Rule{{Name: evil, Actor: evil, Effect: evil, Reason: evil}},
				}}
			}
			s.types("p", "enter", "down", "esc", "/")
			s.says(tea.PasteMsg{Content: evil})
			s.types("enter")
			s.says(sample{err: errors.New(evil)}, explained{id: evil, err: errors.New(evil)})
		}
	}
}

// TestTopQuits by its keys, esc where there is nothing to go back from.
func TestTopQuits(t *testing.T) {
	key := func(r rune) tea.KeyPressMsg { return tea.KeyPressMsg{Code: r, Text: string(r)} }
	esc, ctrlC := tea.KeyPressMsg{Code: tea.KeyEscape}, tea.KeyPressMsg{Code: 'c', Mod: tea.ModCtrl}
	for _, c := range []struct {
		before []string
		key    tea.KeyPressMsg
		quits  bool
	}{
		{nil, key('q'), true},
		{nil, esc, true},
		{nil, ctrlC, true},
		{[]string{"enter"}, esc, false},
		{[]string{"enter"}, key('q'), true},
		{[]string{"enter", "esc"}, esc, true},
		{[]string{"?"}, esc, false},
		{[]string{"?", "?"}, esc, true},
		{[]string{"/"}, esc, false},
		{[]string{"/"}, key('q'), false},
		{[]string{"/"}, ctrlC, true},
	} {
		s := sitDown(t, 80, 24, topLooks()...)
		s.types(c.before...)
		_, cmd := s.m.Update(c.key)
		quits := false
		if cmd != nil {
			_, quits = cmd().(tea.QuitMsg)
		}
		if quits != c.quits {
			t.Errorf("after %q %s quits: %v", c.before, c.key, quits)
		}
	}
}
