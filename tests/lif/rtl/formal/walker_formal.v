// Whatever weights, rows, counts and currents are: the walker leaves what additions one after the other leave, in source order.
//
// All of 2 rows, 4 words and 2 targets of words of 4 bits. A read of a current that meets a write gives anything.
`default_nettype none
module walker_formal #(parameter LAYOUT = 1) (input wire clk);     // 0 dense, 1 rows by source, 2 columns by target
    localparam A = 5, P = 4, X = 4, W = 3, CNT = 2, WORDS = 4, ENDED = 30;
    (* anyconst *) reg shift;
    (* anyconst *) reg [4*WORDS-1:0] words;         // id, weight
    (* anyconst *) reg [2:0] length0, length1;
    (* anyconst *) reg [CNT-1:0] count0, count1;    // of sources
    (* anyconst *) reg [1:0] n_rows;
    (* anyconst *) reg [1:0] n_inner;
    (* anyconst *) reg signed [X-1:0] first0, first1;
    (* anyseq *) reg signed [X-1:0] anything;
    reg [4:0] cycle = 0;
    integer r;
    always @(posedge clk) cycle <= cycle + (cycle != 31);
    wire [2:0] len0 = LAYOUT == 0 ? {1'b0, n_inner} : length0, len1 = LAYOUT == 0 ? {1'b0, n_inner} : length1;
    always @* begin
        assume (n_rows <= 2);
        assume (n_inner <= 2);
        assume (len0 <= WORDS && len1 <= WORDS && len0 + len1 <= WORDS);
        if (LAYOUT == 1) begin                      // a row has one word for a target
            assume (len0 <= 2 && len1 <= 2);
            for (r = 0; r < WORDS - 1; r = r + 1) assume (words[4*r+3] != words[4*r+7] || r + 1 == len0 || r + 1 >= len0 + len1);
        end
    end

    // what the walker reads
    wire [A-5:0] group;
    wire [A-1:0] row, source, i_raddr, i_waddr;
    wire [P-1:0] ptr;
    wire [X-1:0] i_wdata;
    wire i_we, busy;
    reg [15:0] spikes;
    reg [P-1:0] row_start;
    reg [A-1:0] row_length;
    reg [CNT-1:0] count;
    reg [3:0] word, s1;
    reg signed [X-1:0] current0, current1, i_rdata;
    wire [4*WORDS-1:0] from_word = words >> {ptr[1:0], 2'b00};
    always @(posedge clk) begin
        spikes <= group == 0 ? {14'd0, count1 != 0, count0 != 0} : 16'd0;
        row_start <= row[0] ? {1'b0, len0} : 4'd0;
        row_length <= row[0] ? len1 : len0;
        count <= source[0] ? count1 : count0;
        word <= from_word[3:0];
        s1 <= word;
        i_rdata <= i_we && i_waddr[0] == i_raddr[0] ? anything : i_raddr[0] ? current1 : current0;
        if (cycle == 3) {current1, current0} <= {first1, first0};
        if (i_we && i_waddr[0]) current1 <= i_wdata;
        if (i_we && !i_waddr[0]) current0 <= i_wdata;
    end
    wire [A-1:0] last = n_rows - 1'b1;
    lif_walker #(.A(A), .P(P), .W(W), .CNT(CNT), .SHB(1), .X(X)) dut (
        .clk(clk), .rst(cycle < 2), .start(cycle == 4), .busy(busy), .is_dense(LAYOUT == 0), .by_target(LAYOUT == 2),
        .first(5'd0), .last(last), .none(n_rows == 0), .first_mask(16'hffff), .last_mask(16'hffff >> ~last[3:0]),
        .inner_base(5'd0), .shift(shift), .group(group), .spikes(spikes), .row(row), .row_start(row_start),
        .row_length(row_length), .row_empty(row_length == 0), .source(source), .count(count), .ptr(ptr),
        .s1_id({4'd0, s1[3]}), .s1_weight(s1[2:0]), .i_raddr(i_raddr), .i_rdata(i_rdata), .i_we(i_we), .i_waddr(i_waddr),
        .i_wdata(i_wdata)
    );

    // one after the other
    integer k;
    reg signed [X-1:0] left0, left1, amount;
    reg signed [X+CNT+1:0] sum;
    reg [4*WORDS-1:0] rest;
    reg second, target;
    always @* begin
        {left1, left0} = {first1, first0};
        for (k = 0; k < WORDS; k = k + 1) begin
            rest = words >> (4 * k);
            second = k >= len0;                     // whose word it is
            target = LAYOUT == 0 ? k - (second ? len0 : 0) : LAYOUT == 1 ? rest[3] : second;
            amount = {rest[2], rest[2:0]} << shift;
            sum = amount * $signed({1'b0, (LAYOUT == 2 ? rest[3] : second) ? count1 : count0}) + (target ? left1 : left0);
            sum = sum > 7 ? 7 : sum < -8 ? -8 : sum;
            if (k < len0 + len1 && (second ? n_rows > 1 : n_rows > 0)) begin
                if (target) left1 = sum; else left0 = sum;
            end
        end
    end
    always @(posedge clk) begin
        if (cycle > 5 && !busy) begin
            assert (current0 == left0);
            assert (current1 == left1);
        end
        assert (cycle < ENDED || !busy);
        cover (cycle > 5 && !busy && n_rows == 2 && len0 == 2 && len1 == 2 && count0 != 0 && count1 != 0);
    end
endmodule
