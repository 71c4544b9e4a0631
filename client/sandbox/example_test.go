package sandbox_test

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"vbankbatch/client"
	"vbankbatch/client/sandbox"
)

// An issue whose reply is lost: the error leaves it in doubt, the account is there.
func Example() {
	now := time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)
	api, err := sandbox.New(sandbox.Config{
		Clock: func() time.Time { return now },
		Fault: func(r *http.Request, id string, nth int) sandbox.Fault {
			if r.Method == http.MethodPost && id == "order-1" && nth == 1 {
				return sandbox.DropAfter
			}
			return ""
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer api.Close()
	c, err := client.New(client.Config{Key: "key", Secret: "secret", Through: api.Transport()})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = c.Issue(context.Background(), client.IssueRequest{
		MerchantUID: "order-1", Amount: 11000, VbankCode: "004", VbankDue: now.Add(48 * time.Hour).Unix(), VbankHolder: "한빛상사",
	})
	fmt.Println("in doubt:", client.InDoubt(err))
	accounts, err := c.FindAll(context.Background(), "", "order-1", client.StatusReady)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, account := range accounts {
		fmt.Println(account.VbankName, account.VbankNum, account.Amount)
	}
	// Output:
	// in doubt: true
	// 국민은행 61803398874989 11000
}
