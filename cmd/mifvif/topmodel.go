package main

import (
	"time"

	tea "charm.land/bubbletea/v2"

	"mifvif/control"
)

const (
	lookEvery = time.Second
	// restFor is how many times as long as a look took the daemon is left alone: with
	// very many flows it has other things to do.
	restFor = 4
	// silentFor is after how long a daemon that has not answered is called silent.
	silentFor = 3 * time.Second
	// typedMost bounds what is typed as a filter.
	typedMost = 64
)

// top is what `mifvif top` shows, a model of bubbletea: one goroutine changes it, by
// messages. Everything in it that came from the daemon may hold anything; it goes to
// the screen through fit only.
type top struct {
	ask     func() sample // it may block
	explain func(id string) explained

	width, height int
	now           time.Time
	last          sample // that was good
	speeds        map[string]speed
	failure       error     // of the newest look
	asked         time.Time // when the look that is under way began; zero: none is
	next          time.Time // when to look again
	list          flowList
	typing        bool // a text to filter by
	help          bool
	detail        *explained // of one flow, instead of the list; nil: none
	scroll        int        // first line that is seen of the help or the detail
}

// explained is what the daemon says of one flow.
type explained struct {
	id          string
	explanation control.Explanation
	err         error
	waiting     bool
}

// tick is each second.
type tick time.Time

// Init implements tea.Model.
func (m *top) Init() tea.Cmd { return m.wake() }

func (m *top) wake() tea.Cmd {
	return tea.Tick(lookEvery, func(t time.Time) tea.Msg { return tick(t) })
}

// Update implements tea.Model.
func (m *top) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case tick:
		return m, tea.Batch(m.wake(), m.look(time.Time(msg)))
	case sample:
		m.take(msg)
	case explained:
		if m.detail != nil && m.detail.id == msg.id { // else the person has gone on
			m.detail = &msg
		}
	case tea.PasteMsg:
		m.typed(msg.Content)
	case tea.KeyPressMsg:
		return m, m.press(msg)
	}
	return m, nil
}

// look asks the daemon, unless that is under way or too early.
func (m *top) look(now time.Time) tea.Cmd {
	m.now = now
	if !m.asked.IsZero() || now.Before(m.next) {
		return nil
	}
	m.asked = now
	return func() tea.Msg { return m.ask() }
}

// take takes a look's answer. After a failure rates begin anew: the daemon may be
// another one.
func (m *top) take(s sample) {
	m.next, m.asked = m.asked.Add(restFor*s.took), time.Time{}
	old := m.last
	if m.failure != nil {
		old = sample{}
	}
	if m.failure = s.err; s.err != nil {
		m.speeds = nil
		for i := range m.list.all {
			m.list.all[i].speed = speed{}
		}
		return
	}
	m.list.all, m.speeds, m.last = flowSpeeds(&old, &s), domainSpeeds(&old, &s), s
	m.list.arrange()
}
