package main

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"mifvif/control"
)

// View implements tea.Model.
func (m *top) View() tea.View {
	v := tea.NewView(strings.Join(m.lines(), "\n"))
	v.AltScreen = true
	return v
}

// lines are those of the screen, no more than it has.
func (m *top) lines() []string {
	head, foot := m.head(), m.foot()
	room := max(m.height-len(head)-1, 0)
	var body []string
	if m.reading() {
		text := m.text()
		body = text[min(m.scroll, len(text)):]
	} else {
		body = m.flows()
	}
	body = body[:min(len(body), room)]
	for len(body) < room {
		body = append(body, "")
	}
	all := append(append(head, body...), foot)
	return all[:min(len(all), m.height)]
}

// room is how many flows there is room for, or lines of a text.
func (m *top) room() int {
	room := m.height - len(m.head()) - 1
	if !m.reading() {
		room -= flowsHead
	}
	return max(room, 0)
}

// line is one line of the screen in a style; what is in text is seen and not obeyed.
func (m *top) line(text string, style ansi.Style) string {
	return style.Styled(fit(text, m.width, false))
}

// head is the interface, what there is to say, and the domains, unless a text needs
// the room.
func (m *top) head() []string {
	s := &m.last.status
	title := fmt.Sprintf("%s  %s for %s  mifvif %s  tcp %d  udp %d  icmp %d", s.Interface.Name, s.State, age(s.Since), s.Version, s.Flows.TCP, s.Flows.UDP, s.Flows.ICMP)
	out := []string{m.line(title, ansi.NewStyle(ansi.AttrBold)), m.notice()}
	if m.reading() {
		return append(out, "")
	}
	return append(out, m.domains()...)
}

// notice is the line for what a person should know.
func (m *top) notice() string {
	alarm := ansi.NewStyle(ansi.AttrBold).ForegroundColor(ansi.Red)
	switch said := remarks(m.last.status); {
	case m.failure != nil:
		return m.line(fmt.Sprintf("no answer since %s, asking on: %v", m.last.at.Format(time.TimeOnly), m.failure), alarm)
	case !m.asked.IsZero() && m.now.Sub(m.asked) >= silentFor:
		return m.line("no answer since "+m.last.at.Format(time.TimeOnly)+", waiting", alarm)
	case len(said) == 2:
		return m.line(said[1], ansi.NewStyle())
	case len(said) > 2:
		return m.line(fmt.Sprintf("%s (and %d more, see: mifvif status)", said[1], len(said)-2), ansi.NewStyle())
	}
	return ""
}

// domainColumns are those of the domains.
func domainColumns() []column {
	return []column{
		{title: "DOMAIN", most: 16},
		{title: "STATE", most: 10, rank: 1},
		{title: "IFACE", most: 15, rank: 7},
		{title: "ADDRESS", least: 15, stretch: true, rank: 5},
		{title: "RTT", least: 7, most: 9, right: true, rank: 4},
		{title: "LOSS", least: 5, most: 6, right: true, rank: 6},
		{title: "FLOWS", least: 5, most: 6, right: true, rank: 3},
		{title: "DOWN", least: 10, most: 10, right: true, rank: 2},
		{title: "UP", least: 10, most: 10, right: true, rank: 2},
	}
}

// domains are the table of domains, of which no more than half of the screen is
// filled.
func (m *top) domains() []string {
	all := m.last.status.PvDs
	most := max((m.height-6)/2, 1)
	more := ""
	if len(all) > most {
		more = fmt.Sprintf("and %d more domains (see: mifvif status)", len(all)-most+1)
		all = slices.Clone(all)
		slices.SortStableFunc(all, func(a, b control.PvD) int { return cmp.Compare(unusable(&a), unusable(&b)) })
		all = all[:most-1]
	}
	var rows [][]string
	for _, p := range all {
		s := m.speeds[p.Name]
		rows = append(rows, []string{
			p.Name, p.State, p.Interface, orDash(p.Sources...), measured(p.RTT, 1000, "ms"), measured(p.Loss, 100, "%"), strconv.Itoa(p.Flows), s.inWords(s.down), s.inWords(s.up),
		})
	}
	out := table(domainColumns(), rows, m.width)
	out[0] = ansi.NewStyle(ansi.AttrUnderline).Styled(out[0])
	for i, p := range all {
		out[i+1] = colour(p.State).Styled(out[i+1])
	}
	if more != "" {
		out = append(out, m.line(more, ansi.NewStyle()))
	}
	return out
}

// unusable is 0 for a domain that carries flows or could.
func unusable(p *control.PvD) int {
	if p.State == "online" || p.Flows > 0 {
		return 0
	}
	return 1
}

// colour is that of a domain's state; NO_COLOR takes it away later.
func colour(state string) ansi.Style {
	switch state {
	case "online":
		return ansi.NewStyle()
	case "offline", "disabled":
		return ansi.NewStyle().ForegroundColor(ansi.Red)
	}
	return ansi.NewStyle().ForegroundColor(ansi.Yellow)
}

// inWords writes one direction of a speed.
func (s speed) inWords(n uint64) string {
	if !s.known {
		return "-"
	}
	return rate(n)
}

// foot is the line for the most used keys, or for the text that is typed.
func (m *top) foot() string {
	faint := ansi.NewStyle(ansi.AttrFaint)
	switch {
	case m.typing:
		return m.line("/"+m.list.text+"_   enter: keep it  esc: all flows", ansi.NewStyle())
	case m.reading():
		return m.line("esc back  up/down scroll  q quit", faint)
	}
	return m.line("? keys  q quit  r/b/a sort  p domain  / filter  enter why", faint)
}

// flowsHead is how many lines stand above the flows: what they are, and the titles.
const flowsHead = 2

// flowColumns are those of the flows; what they are sorted by is there before others.
func (m *top) flowColumns() []column {
	out := []column{
		{title: "ID", least: 5, most: 8, rank: 6},
		{title: "TO", least: max(16, m.width/4), stretch: true},
		{title: "DOMAIN", most: 12, rank: 3},
		{title: "OWNER", least: 8, most: 10, rank: 5},
		{title: "DOWN", least: 10, most: 10, right: true, rank: 2},
		{title: "UP", least: 10, most: 10, right: true, rank: 2},
		{title: "BYTES", least: 10, most: 10, right: true, rank: 7},
		{title: "AGE", least: 6, most: 9, right: true, rank: 8},
		{title: "FROM", least: 21, most: 47, rank: 10},
		{title: "RULE", least: 6, most: 14, rank: 9},
	}
	switch m.list.sorting {
	case byRate:
	case byBytes:
		out[6].rank = 1
	case byAge:
		out[7].rank = 1
	}
	return out
}

// flows are the list of flows, as far as there is room.
func (m *top) flows() []string {
	l := &m.list
	what := fmt.Sprintf("%d flows, by %s", len(l.flows), l.sorting)
	if l.reverse {
		what += ", the least first"
	}
	if l.pvd != "" {
		what += ", of " + l.pvd
	}
	if l.text != "" {
		what += fmt.Sprintf(", with %q", l.text)
	}
	part := l.window(m.room())
	var rows [][]string
	for _, f := range part {
		rows = append(rows, []string{
			f.ID, target(&f.Flow), f.PvD, orDash(f.Owner.Process), f.inWords(f.down), f.inWords(f.up), amount(f.bytes()), age(f.Started), f.Src, orDash(f.Rule),
		})
	}
	out := append([]string{m.line(what, ansi.NewStyle(ansi.AttrBold))}, table(m.flowColumns(), rows, m.width)...)
	out[1] = ansi.NewStyle(ansi.AttrUnderline).Styled(out[1])
	if i := l.row - l.offset + flowsHead; len(part) > 0 && i < len(out) {
		out[i] = ansi.NewStyle(ansi.AttrReverse).Styled(out[i])
	}
	return out
}

// target is where a flow goes, by name where that is known.
func target(f *control.Flow) string {
	if _, port, err := net.SplitHostPort(f.Dst); err == nil && f.Name != "" {
		return net.JoinHostPort(f.Name, port)
	}
	return cmp.Or(f.Name, f.Dst)
}
