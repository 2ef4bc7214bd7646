package host

import (
	"context"
	"log/slog"
)

// Restore undoes what an earlier process that was killed left behind, by the
// undo record or, where that is lost with the machine's memory, by the comment
// in the file. It needs Path, Record and Servers of cfg. Nothing to undo is no
// error. What systemd-resolved was told it forgot with the interface.
func Restore(ctx context.Context, cfg Config, log *slog.Logger) error {
	cfg = cfg.withDefaults()
	r, err := load(cfg.Record)
	if err != nil {
		log.Warn("undo record of the host's resolver is unreadable", "error", err)
	}
	if r == nil {
		r = &record{Path: cfg.Path, Servers: cfg.Servers}
	}
	if r.Key != "" {
		r.tellProgram(ctx, log)
	}
	if err := r.restoreFile(log); err != nil {
		return err
	}
	return forget(cfg.Record)
}

// tellProgram takes our servers out of the resolvconf program's list.
func (r *record) tellProgram(ctx context.Context, log *slog.Logger) {
	p := findProgram("")
	if p == nil {
		log.Warn("the resolvconf program that was told about mifvif is gone")
		return
	}
	p.key = r.Key
	if err := p.remove(ctx); err != nil {
		log.Warn("the resolvconf program keeps mifvif's servers", "error", err)
	}
}

// restoreFile puts the original back where the file still names our servers. A
// file that somebody else has rewritten meanwhile stays as it is.
func (r *record) restoreFile(log *slog.Logger) error {
	now, err := snapshot(r.Path)
	if err != nil {
		return err
	}
	if !mentions(now.Content, r.Servers) {
		if r.Original.Kind != "" && r.Key == "" {
			log.Warn("the host's resolver file was rewritten by somebody else and is left as it is", "path", r.Path)
		}
		return nil
	}
	if r.Original.Kind == "" {
		saved, ok := recoverOriginal(now.Content)
		if !ok {
			return nil // whoever wrote it, it was not us
		}
		r.Original = saved
	}
	return putBack(r.Path, r.Original)
}
