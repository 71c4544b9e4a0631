package input

import (
	"slices"
	"strings"

	"vbankbatch/client/say"
)

// Action is what a row asks for.
type Action string

// The actions.
const (
	Issue  Action = "issue"
	Update Action = "update"
	Revoke Action = "revoke"
)

var actions = map[string]Action{"issue": Issue, "발급": Issue, "update": Update, "변경": Update, "revoke": Revoke, "말소": Revoke}

// actionOf returns the action that a cell names.
func actionOf(text string) (Action, bool) {
	action, ok := actions[fold(text)]
	return action, ok && !strings.Contains(text, lost)
}

const actionRows = 100 // that tell whether a column holds actions

// otherActions returns the columns that are called 처리 or 작업, and whose first rows hold other words alone: shops keep
// there what became of an order (완료). A column with both is the action, and the rows with other words are refused.
func (f *File) otherActions(h header, encoding string, comma rune, o Options) map[int]bool {
	columns := make(map[int]bool)
	for i := range h.names {
		m, ok := h.meaning(i)
		if !ok || m.field != "action" || m.rank == 0 || m.rank >= answerRank || o.Map["action"] != "" {
			continue
		}
		words := slices.DeleteFunc(f.firstCells(encoding, comma, h, i, actionRows), func(cell string) bool { return filled(cell) == "" })
		if len(words) > 0 && !slices.ContainsFunc(words, func(word string) bool { _, ours := actionOf(word); return ours }) {
			columns[i] = true
		}
	}
	return columns
}

// againstIssue reports a word for an order that nobody is to pay any more.
func againstIssue(cell string) bool {
	for _, word := range []string{"취소", "철회", "환불", "반품", "반려", "거절", "보류", "삭제", "cancel", "refund"} {
		if strings.Contains(strings.ToLower(cell), word) {
			return true
		}
	}
	return false
}

// notAction warns of columns that are not taken for the action, and refuses a row in which one of them names one after
// all, or says that nobody is to pay.
func (p *parser) notAction() {
	for i := range p.r.header.otherActions {
		if p.row.Cells == nil {
			return
		}
		problem := p.add(ActionNotUsed, "action", "")
		problem.Column, problem.Header, problem.Everywhere = i+1, oneLine(p.r.header.names[i]), true
		cell := clean(p.row.Cells[i])
		_, ours := actionOf(cell)
		says := ours || againstIssue(cell)
		if !says && (filled(cell) == "" || !p.r.refusedFor(p.row.Cells, ActionUnknown, i)) {
			continue
		}
		problem.Code, problem.Warning, problem.Everywhere, problem.Text = ActionUnknown, false, false, shorten(oneLine(cell))
		problem.Message = say.NewMessage("this column is not taken for the action, and what stands here may mean that the order is not to be issued; give --map action=HEADER, or leave the column out with --ignore")
		if !says {
			problem.Message = say.NewMessage("the run before refused the row for its action, and this column may be why; if the order is to be issued, empty the row's error_code, or leave the column out with --ignore")
		}
	}
}
