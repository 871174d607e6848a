package admin

import (
	"net/http"
	"strings"
	"time"
)

// BackupFailure is the HTTP trailer that says why a backup breaks off, for what
// went before it can then not say so any more.
const BackupFailure = "Muster-Backup-Failure"

// backupPatience is how long a backup waits for its reader to take a piece: the
// registry cannot forget what changes replace while the backup reads its moment.
const backupPatience = 2 * time.Minute

// backup streams a backup of the registry. An answer that breaks off is no
// backup; its last lines would say so even if nothing else did.
func (a *Admin) backup(w http.ResponseWriter, r *http.Request) {
	if _, err := decode[struct{}](w, r); err != nil {
		a.reply(w, http.StatusBadRequest, Failure{err.Error()})
		return
	}
	out := &patientWriter{ResponseWriter: w, deadlines: http.NewResponseController(w)}
	w.Header().Set("Content-Type", "application/gzip")
	w.Header().Set("Trailer", BackupFailure)
	report, err := a.config.Registry.Backup(r.Context(), out, a.config.Version)
	switch {
	case err == nil:
		a.config.Log.Info().Str("event", "backup").Uint64("sequence", report.Seq).Int("documents", report.Documents).
			Int("broken", len(report.Broken)).Msg("backup written")
	case out.began:
		a.config.Log.Error().Err(err).Msg("a backup broke off")
		w.Header().Set(BackupFailure, strings.ReplaceAll(err.Error(), "\n", " "))
	default:
		a.config.Log.Error().Err(err).Msg("no backup can be made")
		w.Header().Del("Trailer")
		a.reply(w, http.StatusInternalServerError, Failure{err.Error()})
	}
}

// patientWriter gives each piece a deadline of its own.
type patientWriter struct {
	http.ResponseWriter
	deadlines *http.ResponseController
	began     bool
}

func (w *patientWriter) Write(p []byte) (int, error) {
	w.began = true
	_ = w.deadlines.SetWriteDeadline(time.Now().Add(backupPatience)) // where there are deadlines
	return w.ResponseWriter.Write(p)
}
