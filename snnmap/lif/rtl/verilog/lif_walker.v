// Walks the rows of sources that spike (or, by target, all rows) and adds their spikes to synaptic currents, a word a cycle.
//
// scan: a group of 16 rows, or the first of them that is left, a cycle; fetch: its start, length and count. Words go down a
// pipeline: s0 and s1 word, s2 current and count, s3 add and write. Words of a column follow each other to one target, whose current is
// forwarded; else scan and fetch lie between two words for a target, by when the first has been written. A cycle later, the
// count of a row stays until its last word is in s2 for the same reason.
`default_nettype none
module lif_walker #(
    parameter A = 10, P = 16, W = 8, CNT = 5, SHB = 3, X = 16
) (
    input wire clk, rst, start, output wire busy, input wire is_dense, by_target,
    input wire [A-1:0] first,           // row
    input wire [A-1:0] last,            // row; below the first, there is none; lint_off UNUSEDSIGNAL
    input wire none,
    input wire [15:0] first_mask,       // rows of the first group
    input wire [15:0] last_mask,
    input wire [A-1:0] inner_base,      // added to what names a target in a word
    input wire [SHB-1:0] shift,
    output wire [A-5:0] group,          // its spikes one cycle later
    input wire [15:0] spikes,
    output wire [A-1:0] row,            // from the first; start, length and count one cycle later
    input wire [P-1:0] row_start, input wire [A-1:0] row_length, input wire row_empty,
    output wire [A-1:0] source,         // its count one cycle later
    input wire [CNT-1:0] count,
    output reg [P-1:0] ptr,             // id and weight two cycles later
    input wire [A-1:0] s1_id, input wire [W-1:0] s1_weight,
    output wire [A-1:0] i_raddr,        // data one cycle later
    input wire [X-1:0] i_rdata, output wire i_we, output wire [A-1:0] i_waddr, output wire [X-1:0] i_wdata
);
    localparam IDLE = 2'd0, SCAN = 2'd1, FETCH = 2'd2, ROW = 2'd3;
    reg [1:0] state;

    // the first row that is left of a group
    reg [A-1:0] first_row;
    reg [A-5:0] ahead, base;
    reg [15:0] left_rows;
    reg at_end;
    wire load = state == SCAN && left_rows == 0 && !at_end;
    wire [15:0] rows = (by_target ? 16'hffff : spikes)
        & (ahead == first_row[A-1:4] ? first_mask : 16'hffff) & (ahead == last[A-1:4] ? last_mask : 16'hffff);
    wire [3:0] lowest;
    lif_lowest lowest_of (.bits(left_rows), .position(lowest));
    wire [A-1:0] found = {base, lowest};
    assign group = state == IDLE ? first[A-1:4] : load ? ahead + 1'b1 : ahead;
    assign row = found - first_row;

    reg [A-1:0] found_row, words_left, target;
    reg [CNT-1:0] row_count;
    wire last_word = words_left == 1;
    always @(posedge clk) begin
        if (rst) state <= IDLE;
        else case (state)
            IDLE: if (start) state <= SCAN;
            SCAN: if (left_rows != 0) state <= FETCH; else if (at_end) state <= IDLE;
            FETCH: state <= row_empty ? SCAN : ROW;
            default: if (last_word) state <= SCAN;
        endcase
        ahead <= group;
        first_row <= first;
        if (state == IDLE) begin
            left_rows <= 0;
            at_end <= none;
        end
        if (load) begin
            left_rows <= rows;
            base <= ahead;
            at_end <= ahead == last[A-1:4];
        end
        if (state == SCAN && !load) begin
            left_rows <= left_rows & (left_rows - 1'b1);
            found_row <= found;
        end
        if (state == FETCH) begin
            ptr <= row_start;
            words_left <= row_length;
            row_count <= count;
            target <= by_target ? found_row : inner_base;
        end
        if (state == ROW) begin
            ptr <= ptr + 1'b1;
            words_left <= words_left - 1'b1;
            if (!by_target) target <= target + 1'b1;
        end
    end

    // s0, s1: the word
    reg [A-1:0] s0_row_target, s1_row_target;
    reg [CNT-1:0] s1_count;
    reg s0_valid, s1_valid;
    always @(posedge clk) begin
        s0_row_target <= target;
        s0_valid <= !rst && state == ROW;
        s1_row_target <= s0_row_target;
        s1_count <= row_count;
        s1_valid <= !rst && s0_valid;
    end
    wire [A-1:0] s1_target = is_dense || by_target ? s1_row_target : inner_base + s1_id;
    assign source = by_target ? s1_id : found;
    assign i_raddr = s1_target;

    // s2: current and count
    reg [A-1:0] s2_target;
    reg [W-1:0] s2_weight;
    reg s2_valid;
    always @(posedge clk) begin
        s2_target <= s1_target;
        s2_weight <= s1_weight;
        s2_valid <= !rst && s1_valid;
    end
    wire [CNT-1:0] s2_count = by_target ? count : s1_count;
    wire signed [X-1:0] s2_amount;
    lif_count_weight #(.X(X), .W(W), .SHB(SHB)) count_weight (.weight(s2_weight), .shift(shift), .amount(s2_amount));

    // s3: add and write
    reg [A-1:0] s3_target;
    reg signed [X+CNT:0] s3_amount;
    reg [X-1:0] s3_current, result;
    reg s3_valid, s3_follows;
    always @(posedge clk) begin
        s3_target <= s2_target;
        s3_amount <= s2_amount * $signed({1'b0, s2_count});
        s3_current <= i_rdata;
        s3_valid <= !rst && s2_valid;
        s3_follows <= by_target && s3_valid;
        result <= i_wdata;
    end
    wire [X-1:0] s3_before = s3_follows ? result : s3_current;
    lif_add #(.X(X), .CNT(CNT)) add (.current(s3_before), .amount(s3_amount), .added(i_wdata));
    assign i_we = s3_valid;
    assign i_waddr = s3_target;
    assign busy = state != IDLE || s0_valid || s1_valid || s2_valid || s3_valid;
endmodule

// The position of the lowest bit that is set.
module lif_lowest (  // lint_off DECLFILENAME
    input wire [15:0] bits, output wire [3:0] position
);
    wire [3:0] quarter = {|bits[15:12], |bits[11:8], |bits[7:4], |bits[3:0]};  // lint_off UNUSEDSIGNAL
    wire [1:0] high = quarter[0] ? 2'd0 : quarter[1] ? 2'd1 : quarter[2] ? 2'd2 : 2'd3;
    wire [3:0] low = bits[{high, 2'b00} +: 4];  // lint_off UNUSEDSIGNAL
    assign position = {high, low[0] ? 2'd0 : low[1] ? 2'd1 : low[2] ? 2'd2 : 2'd3};
endmodule
`default_nettype wire
