package command

import (
	"cmp"
	"io"
	"slices"
	"strings"

	"vbankbatch/batch"
	"vbankbatch/client/say"
	"vbankbatch/report"
)

// writeNotice writes what --notify-cmd gets of a run that is over: for people what happened, to which file, by the
// place where it is now, and what is to be done, a line each, and an empty one; then the summary, for programs.
func (f *notifyFlags) writeNotice(w io.Writer, place string, run *report.Run, facts *report.Facts) error {
	if !slices.Contains(f.Notify, "json") {
		what, next := told(run, facts)
		file := say.Message(say.Name(place))
		if results := run.Files.Results; results != "" {
			file = say.Messagef("%s; results: %s", file, say.Name(results))
		}
		_, err := io.WriteString(w, run.Language.Sprintf("what: %s\nfile: %s\nnext: %s\n\n", line(what, run.Language), line(file, run.Language), line(next, run.Language)))
		if err != nil {
			return err
		}
	}
	return report.EncodeFigures(w, run, facts)
}

// line is a message in one line.
func line(message say.Message, language say.Language) string {
	return strings.Join(strings.FieldsFunc(message.In(language), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}

// told is what a person is told of a run, and what there is to do.
func told(run *report.Run, facts *report.Facts) (what, next say.Message) {
	rows := report.Thousands(facts.Rows)
	unknown, notDone, notSent := facts.Statuses[batch.Unknown].Rows, facts.NotDone(), facts.Statuses[batch.NotSent].Rows
	switch {
	case run.Error != nil:
		_, next = statusOf(run.Error)
		return say.Of(run.Error), cmp.Or(next, say.NewMessage("vbankbatch doctor in the place of run, with the same flags, looks for the cause"))
	case unknown > 0:
		return say.Messagef("of %s of %s rows it is not known whether they have an account", report.Thousands(unknown), rows),
			say.NewMessage("vbankbatch reconcile asks the API; issue nothing for them by other means before that")
	case notDone > notSent:
		return say.Messagef("%s of %s rows were not done", report.Thousands(notDone), rows), say.NewMessage("mend the rows in the .failed.csv beside the results, and run that")
	case notDone > 0:
		return say.Messagef("%s of %s rows were not done", report.Thousands(notDone), rows), say.NewMessage("run the file again: these rows were not sent")
	}
	return say.Messagef("all %s rows were done", rows), say.NewMessage("nothing")
}
