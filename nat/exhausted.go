package nat

import (
	"errors"

	"golang.org/x/sys/unix"

	"mifvif/flow"
	"mifvif/quota"
)

// opened is newBinding that makes room where the host has run out of what a binding
// needs, ports of the source address or files: apps that use a new socket for each
// question, as resolvers do, would get none until their idle ones have timed out.
func (t *Table) opened(app appKey, f flow.Flow, c Choice, holder quota.Holder) (*binding, error) {
	b, err := t.newBinding(app, f, c)
	if err == nil || !t.relieve(err, c, holder) {
		return b, err
	}
	return t.newBinding(app, f, c)
}

// relieve ends a binding that holds what a new one lacks, one of the same holder's if
// there is any, and reports whether it did.
func (t *Table) relieve(err error, c Choice, holder quota.Holder) bool {
	ports := errors.Is(err, unix.EADDRINUSE)
	if !ports && !errors.Is(err, unix.EMFILE) && !errors.Is(err, unix.ENFILE) {
		return false
	}
	holds := func(b *binding) bool {
		return b.hub == nil && (!ports || b.choice.Source == c.Source && b.choice.Domain.Key() == c.Domain.Key())
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.evict(func(b *binding) bool { return holds(b) && holder.Competes(b.holder) }) || t.evict(holds)
}
