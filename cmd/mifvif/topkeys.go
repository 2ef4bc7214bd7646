package main

import (
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"
)

// topKeys says what the keys do.
const topKeys = "r, b, a   sort by rate, bytes or age; the same key again: the other way round\n" +
	"p         only the flows of one domain, the next one, or of all\n" +
	"/         only the flows with a text in their name, addresses, owner or domain\n" +
	"enter     why the marked flow goes where it goes\n" +
	"up, down, page up, page down, home, end   move the mark\n" +
	"?         these keys\n" +
	"esc       back; q, ctrl-c, and esc where there is nothing to go back from, quit"

// press does what a key is for.
func (m *top) press(key tea.KeyPressMsg) tea.Cmd {
	switch name := key.String(); {
	case name == "ctrl+c":
		return tea.Quit
	case name == "ctrl+z":
		return tea.Suspend
	case m.typing:
		m.edit(name, key.Text)
	case name == "q":
		return tea.Quit
	case name == "?":
		m.help, m.scroll = !m.help, 0
	case name == "esc":
		return m.back()
	case m.reading():
		m.read(name)
	default:
		return m.browse(name)
	}
	return nil
}

// back goes back to where the person came from, at the last out.
func (m *top) back() tea.Cmd {
	switch {
	case m.help:
		m.help, m.scroll = false, 0
	case m.detail != nil:
		m.detail = nil
	default:
		return tea.Quit
	}
	return nil
}

// browse is for the keys of the list.
func (m *top) browse(name string) tea.Cmd {
	l := &m.list
	page := max(m.room(), 1)
	switch name {
	case "r":
		l.sort(byRate)
	case "b":
		l.sort(byBytes)
	case "a":
		l.sort(byAge)
	case "p":
		l.nextDomain(m.last.status.PvDs)
	case "/":
		m.typing = true
	case "enter":
		return m.open()
	case "up", "k":
		l.pick(l.row - 1)
	case "down", "j":
		l.pick(l.row + 1)
	case "pgup":
		l.pick(l.row - page)
	case "pgdown", "space":
		l.pick(l.row + page)
	case "home", "g":
		l.pick(0)
	case "end", "G":
		l.pick(len(l.flows) - 1)
	}
	return nil
}

// read is for the keys while a text is read.
func (m *top) read(name string) {
	page := max(m.room(), 1)
	switch name {
	case "enter", "backspace":
		m.back()
	case "up", "k":
		m.scroll--
	case "down", "j":
		m.scroll++
	case "pgup":
		m.scroll -= page
	case "pgdown", "space":
		m.scroll += page
	case "home", "g":
		m.scroll = 0
	}
	m.scroll = max(0, min(m.scroll, len(m.text())-page))
}

// open has the marked flow explained.
func (m *top) open() tea.Cmd {
	f := m.list.marked()
	if f == nil {
		return nil
	}
	id := f.ID
	m.detail, m.scroll = &explained{id: id, waiting: true}, 0
	return func() tea.Msg { return m.explain(id) }
}

// edit is for the keys while a text is typed.
func (m *top) edit(name, text string) {
	switch name {
	case "enter":
		m.typing = false
	case "esc":
		m.typing, m.list.text = false, ""
	case "backspace":
		_, n := utf8.DecodeLastRuneInString(m.list.text)
		m.list.text = m.list.text[:len(m.list.text)-n]
	case "ctrl+u":
		m.list.text = ""
	default:
		m.typed(text)
		return
	}
	m.list.arrange()
}

// typed adds to the text that is typed, as far as there is room.
func (m *top) typed(text string) {
	if m.typing && len(m.list.text)+len(text) <= typedMost {
		m.list.text += visible(text)
		m.list.arrange()
	}
}
